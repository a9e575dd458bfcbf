"""What the page for those who come from Celery says of the settings is so."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from django_tasks.checks.celery import OTHER_NAMES
from django_tasks.conf import Settings
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "from-celery.md"
LATER = "not in this version"
#: Defaults that the page says in words.
IN_WORDS = {"one day": "datetime.timedelta(days=1)"}
EVERY_KEY = {name: repr(getattr(Settings(), name)) for name in Settings.__dataclass_fields__}


def rows() -> list[list[str]]:
    _, _, table = PAGE.read_text().partition("| Celery 5 | Celery 3 and 2 | key | default |\n")
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[1:]]


ROWS = rows()
KEYS = {
    match[1]: (match[2], default) for *_, key, default in ROWS if (match := re.match(r"`(\w+)`(.*)", key))
}
OLD_NAMES = {old.strip("`"): key for _, old, key, _ in ROWS}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_there_with_that_default_or_said_to_come_later(key):
    about, default = KEYS[key]

    assert (LATER in about) == (key not in EVERY_KEY)
    if key in EVERY_KEY:
        assert IN_WORDS.get(default, default.strip("`")) == EVERY_KEY[key]


@pytest.mark.parametrize(
    ("row", "new", "old", "key"),
    [
        ("SET-01", "task_serializer", "CELERY_TASK_SERIALIZER", "TASK_SERIALIZER"),
        ("SET-02", "result_backend", "CELERY_RESULT_BACKEND", "RESULT_STORE"),
        ("SET-03", "task_acks_late", "CELERY_ACKS_LATE", "TASK_ACKS_LATE"),
        ("SET-04", "task_track_started", "CELERY_TRACK_STARTED", "TASK_TRACK_STARTED"),
        ("SET-05", "task_default_rate_limit", "CELERY_DEFAULT_RATE_LIMIT", "TASK_DEFAULT_RATE_LIMIT"),
        ("SET-06", "worker_disable_rate_limits", "CELERY_DISABLE_RATE_LIMITS", "WORKER_DISABLE_RATE_LIMITS"),
        ("SET-07", "task_ignore_result", "CELERY_IGNORE_RESULT", "TASK_IGNORE_RESULT"),
        ("SET-08", "result_expires", "CELERY_TASK_RESULT_EXPIRES", "RESULT_EXPIRES"),
        ("SET-09", "", "CELERY_SEND_TASK_ERROR_EMAILS", "SEND_TASK_ERROR_EMAILS"),
        ("SET-10", "task_queues", "CELERY_QUEUES", "TASK_QUEUES"),
        ("SET-10", "task_default_queue", "CELERY_DEFAULT_QUEUE", "TASK_DEFAULT_QUEUE"),
        ("SET-10", "task_routes", "CELERY_ROUTES", "TASK_ROUTES"),
        ("SET-11", "imports", "CELERY_IMPORTS", "IMPORTS"),
        ("SET-16", "task_time_limit", "CELERYD_TASK_TIME_LIMIT", "TASK_TIME_LIMIT"),
        ("SET-16", "task_soft_time_limit", "CELERYD_TASK_SOFT_TIME_LIMIT", "TASK_SOFT_TIME_LIMIT"),
        ("SET-18", "broker_url", "BROKER_URL", "BROKER_URL"),
        ("SET-18", "broker_transport_options", "BROKER_TRANSPORT_OPTIONS", "BROKER_TRANSPORT_OPTIONS"),
        ("SET-19", "task_always_eager", "CELERY_ALWAYS_EAGER", "TASK_ALWAYS_EAGER"),
        ("SET-19", "task_eager_propagates", "CELERY_EAGER_PROPAGATES_EXCEPTIONS", "TASK_EAGER_PROPAGATES"),
        ("SET-20", "accept_content", "CELERY_ACCEPT_CONTENT", "ACCEPT_CONTENT"),
    ],
)
def test_a_setting_that_the_guides_name_is_on_the_map_and_there(row, new, old, key):
    listed = {(new.strip("`"), old.strip("`"), key.strip("`")) for new, old, key, _ in ROWS}

    assert (new, old, key) in listed
    assert key in EVERY_KEY


def test_set_15_there_is_no_key_for_utc_and_moments_travel_in_it():
    noon = dt.datetime(2030, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    envelope = encode(TaskMessage(id="a", task="tests.task", queue="default", eta=noon))

    assert "ENABLE_UTC" not in EVERY_KEY
    assert envelope.headers["eta"] == "2030-01-01T10:00:00+00:00"


@pytest.mark.parametrize("old", OTHER_NAMES)
def test_the_map_and_the_system_check_agree(old):
    assert OLD_NAMES[old].startswith(f"`{OTHER_NAMES[old]}`")


def test_every_key_of_ours_that_celery_has_under_the_same_name_is_on_the_map():
    ours_alone = {
        "DATABASE", "EXECUTE_MIDDLEWARE", "HTTP_DISPATCH_ALLOWED_HOSTS", "MAX_CRASHES", "MESSAGE_MAX_BYTES",
        "MESSAGE_SIGNING", "ON_BROKER_DOWN", "REDACT",
        "RESULT_CACHE", "RESULT_MAX_BYTES", "SEND_MIDDLEWARE", "WORKER_LEASE",
    }  # fmt: skip

    assert set(EVERY_KEY) - set(KEYS) == ours_alone
