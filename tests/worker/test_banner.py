"""What a worker says of itself when it starts."""

import pytest

from django_tasks.worker.banner import banner
from django_tasks.worker.options import WorkerOptions

ADVICE = "set CONN_MAX_AGE or a pool"


@pytest.mark.parametrize(
    ("database", "is_advised"),
    [
        ({}, True),
        ({"CONN_MAX_AGE": 0}, True),
        ({"CONN_MAX_AGE": 60}, False),
        ({"CONN_MAX_AGE": None}, False),  # for ever
        ({"OPTIONS": {"pool": True}}, False),
        ({"ENGINE": "django.db.backends.sqlite3"}, False),
    ],
)
def test_connections_that_are_closed_after_every_task_are_pointed_out(
    settings, monkeypatch, database, is_advised
):
    site = {"ENGINE": "django.db.backends.postgresql", "NAME": "site", **database}
    monkeypatch.setitem(settings.DATABASES, "default", site)

    said = banner(WorkerOptions(queues=("default",)))

    assert (ADVICE in said) is is_advised
