"""How a task is run and tried again, as its page and the list say it."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_tasks import registry, states, task
from django_tasks.admin import task_options
from django_tasks.models import TaskResult
from tests.ledger.tasks import add

if TYPE_CHECKING:
    from pytest_django import Settings

LIST = reverse("admin:django_tasks_taskresult_changelist")


def options(client: Client, row: TaskResult) -> dict[str, str]:
    html = client.get(reverse("admin:django_tasks_taskresult_change", args=[quote(row.id)])).text
    (facts,) = re.findall(r'<dl class="tasks-facts">(.*?)</dl>', html, re.DOTALL)
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", facts, re.DOTALL)
    return {name: unescape(re.sub(r"<[^>]+>", "", value)) for name, value in pairs}


@pytest.fixture
def _declared(own_tasks: None) -> None:
    @task(
        name="shop.tasks.pay", autoretry_for=(OSError,), retry_backoff=2, retry_backoff_max=60, retry_jitter=False,
        max_retries=4, time_limit=90, rate_limit="100/m",
    )  # fmt: skip
    def pay() -> None: ...


@pytest.mark.usefixtures("_declared")
def test_what_the_task_says_is_told(page: Client, make_task: Any) -> None:
    assert options(page, make_task(queue="mail", priority=3)) == {
        "Queue": "mail",
        "Priority": "3",
        "Time limit": "1 min 30 s",
        "Soft time limit": "–",  # noqa: RUF001
        "Rate limit": "100/m",
        "Attempts at most": "5",
        "Tried again by itself for": "OSError",
        "Tried again after": "2.0 s, then twice as long each time, up to 1 min 00 s",
    }


def test_what_the_call_said_goes_before_and_the_settings_come_last(page: Client, settings: Settings) -> None:
    settings.DJANGO_TASKS = {"TASK_TIME_LIMIT": 300, "TASK_SOFT_TIME_LIMIT": 200}
    moment = dt.datetime(2100, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    add.apply_async((1, 2), eta=moment, expires=moment + dt.timedelta(hours=1), soft_time_limit=20)

    told = options(page, TaskResult.objects.get())

    assert told["Time limit"] == "5 min 00 s"
    assert told["Soft time limit"] == "20.0 s"
    assert told["Not before"].startswith("2100-01-02 03:04:05")
    assert told["Expires"].startswith("2100-01-02 04:04:05")


def test_what_the_message_says_is_for_those_who_may_see_it(client: Client, db: None) -> None:
    add.apply_async((1, 2), expires=60, soft_time_limit=20)
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_taskresult"))
    client.force_login(user)

    told = options(client, TaskResult.objects.get())

    assert "Expires" not in told
    assert told["Soft time limit"] != "20.0 s"
    assert told["Queue"] == "default"


def test_of_a_task_that_is_no_more_its_row_tells_what_it_can(page: Client, make_task: Any) -> None:
    told = options(page, make_task(task="retired.tasks.old", queue="mail"))

    assert told["Queue"] == "mail"
    assert "Attempts at most" not in told


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"status": states.PENDING, "retries": 0}, ""),
        ({"status": states.SUCCESS, "retries": 0}, ""),
        ({"status": states.RETRY, "retries": 1}, "1/5"),
        ({"status": states.STARTED, "retries": 1, "claimed_by": "p1"}, "2/5"),
        ({"status": states.SUCCESS, "retries": 1}, "2/5"),
        ({"status": states.FAILURE, "retries": 4}, "5/5"),
        ({"status": states.REVOKED, "retries": 2}, "2/5"),
        ({"status": states.FAILURE, "retries": 9}, "10"),
        ({"status": states.FAILURE, "retries": 2, "task": "retired.tasks.old"}, "3"),
    ],
)
@pytest.mark.usefixtures("_declared")
def test_the_list_says_how_often_a_task_was_tried(
    page: Client, make_task: Any, values: dict[str, Any], shown: str
) -> None:
    make_task(**values)

    found = re.findall(r'<small class="tasks-tried"[^>]*>([^<]*)</small>', page.get(LIST).text)

    assert found == ([shown] if shown else [])


@pytest.mark.usefixtures("_declared")
def test_modules_of_tasks_are_not_imported_for_each_row(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that cannot be imported is tried again each time."""
    rows = [make_task(status=states.FAILURE, retries=1, result='{"a": 1}') for _ in range(3)]
    asked: list[str] = []
    monkeypatch.setattr(registry, "import_errors", lambda: asked.append("again") or {})

    page.get(LIST)
    answer: Any = page.post(f"{LIST}export/", {"row": [row.pk for row in rows], "format": "jsonl"})

    assert b"".join(answer).count(b"shop.tasks.pay") == 3
    assert asked == ["again"]


def test_a_task_that_is_tried_for_ever_says_so(make_task: Any, own_tasks: None) -> None:
    task(name="shop.tasks.pay", max_retries=None)(lambda: None)

    assert task_options.attempts(make_task(status=states.RETRY, retries=7)) == "7/∞"


def test_retries_are_counted_as_the_task_asks_for_them(make_task: Any, own_tasks: None) -> None:
    task(name="shop.tasks.pay", autoretry_for=(OSError,), retry_kwargs={"max_retries": 7})(lambda: None)

    assert task_options.attempts(make_task(status=states.RETRY, retries=1)) == "1/8"
