"""At a million rows a page is as fast as its plan: no query of a list may read the whole table."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from django_tasks import states
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite",
    reason="other planners look at the figures and may rightly scan a small table",
)

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
TASKS = reverse("admin:django_tasks_taskresult_changelist")
GROUPS = reverse("admin:django_tasks_taskgroup_changelist")
MESSAGES = reverse("admin:django_tasks_queuedmessage_changelist")
A_SCAN = re.compile(r"SCAN django_tasks_\w+\b(?! USING (COVERING )?INDEX)")
#: A user's few saved views, which every list of tasks reads besides.
SMALL = "django_tasks_savedview"
A_SORT = "USE TEMP B-TREE FOR ORDER BY"


@pytest.fixture
def five_thousand_tasks(db: None) -> None:
    TaskResult.objects.bulk_create(
        TaskResult(
            id=f"id-{number:05}",
            task=("shop.tasks.pay", "shop.tasks.ship", "blog.tasks.publish")[number % 3],
            status=states.FAILURE if number % 10 == 0 else states.SUCCESS,
            queue="default",
            message="{}",
            created_at=NOW + dt.timedelta(seconds=number),
            group_id="group" if 100 <= number < 200 else None,
            group_index=number - 100 if 100 <= number < 200 else None,
            parent_id=f"id-{number // 10:05}" if number else None,
            fingerprint="0123456789abcdef" if number % 20 == 0 else "f" * 16 if number % 10 == 0 else None,
            subject_type="shop.order" if number % 2 else None,
            subject_id=str(number % 100) if number % 2 else None,
        )
        for number in range(5000)
    )


@pytest.fixture
def five_thousand_groups(db: None) -> None:
    TaskGroup.objects.bulk_create(
        TaskGroup(id=f"id-{number:05}", total=3, pending=number % 3, created_at=NOW) for number in range(5000)
    )


@pytest.fixture
def five_thousand_messages(db: None) -> None:
    QueuedMessage.objects.bulk_create(
        QueuedMessage(
            queue=("default", "mail")[number % 2], payload="{}", sent_at=NOW + dt.timedelta(seconds=number)
        )
        for number in range(5000)
    )


def plans(page: Client, path: str, query: dict[str, str]) -> list[str]:
    """How SQLite answers each query of a page about our large tables, with the very parameters."""
    asked = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert page.get(path, query).status_code == 200
    return [plan(sql, params) for sql, params in asked if "django_tasks_" in sql and SMALL not in sql]


def plan(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return "\n".join(line[-1] for line in cursor.fetchall())


@pytest.mark.usefixtures("five_thousand_tasks")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "django_tasks_result_new"),
        ({"window": "24h"}, "django_tasks_result_new"),
        ({"slower": "10", "window": "24h"}, "django_tasks_result_new (created_at>?)"),
        ({"q": "user:42"}, "django_tasks_result_new (created_at>?)"),
        ({"q": "error:timeout", "window": "7d"}, "django_tasks_result_status (status=?"),
        ({"status": "FAILURE"}, "django_tasks_result_status (status=?)"),
        ({"status": "PENDING"}, "django_tasks_result_status (status=?)"),
        ({"task": "shop.tasks.pay"}, "django_tasks_result_task (task=?)"),
        ({"task": "shop.tasks.pay", "status": "FAILURE"}, "(status=?)"),
        ({"group_id": "group"}, "django_tasks_result_group (group_id=?)"),
        ({"fingerprint": "0123456789abcdef"}, "django_tasks_result_failed (fingerprint=?)"),
        ({"subject": "shop.order:7"}, "django_tasks_result_subject (subject_type=? AND subject_id=?)"),
        ({"q": "id-00042"}, "(id=?)"),
        ({"q": "shop.tasks.p"}, "django_tasks_result_task (task>? AND task<?)"),
        ({"q": "shop."}, "django_tasks_result_task (task>? AND task<?)"),
    ],
)
def test_a_list_of_tasks_is_read_in_the_order_of_an_index(
    page: Client, query: dict[str, str], index: str
) -> None:
    found = list(plans(page, TASKS, query))

    assert found
    for one in found:
        assert not A_SCAN.search(one)
        assert A_SORT not in one
    assert index in found[-1]


@pytest.mark.usefixtures("five_thousand_tasks")
@pytest.mark.parametrize("parameter", ["older", "newer"])
@pytest.mark.parametrize("query", [{}, {"status": "FAILURE"}, {"q": "shop."}, {"group_id": "group"}])
def test_another_page_begins_in_the_index_where_the_last_one_ended(
    page: Client, query: dict[str, str], parameter: str
) -> None:
    first = page.get(TASKS, query).context["cl"]
    older = dict(parse_qsl(first.older_url.lstrip("?")))
    place = older if parameter == "older" else newer_than(page, older)

    *_, turned = plans(page, TASKS, place)

    assert "django_tasks_result" in turned
    assert re.search(r"[<>]\(?\?", turned)
    assert A_SORT not in turned


def newer_than(page: Client, older: dict[str, str]) -> dict[str, str]:
    return dict(parse_qsl(page.get(TASKS, older).context["cl"].newer_url.lstrip("?")))


@pytest.mark.usefixtures("five_thousand_tasks")
def test_the_runs_before_a_task_are_read_in_the_order_of_the_index_of_tasks(page: Client) -> None:
    path = reverse("admin:django_tasks_taskresult_change", args=["id-02500"])

    *_, runs = plans(page, path, {"_fragment": "runs"})

    assert "django_tasks_result_task (task=? AND created_at<?)" in runs
    assert A_SORT not in runs


@pytest.mark.usefixtures("five_thousand_tasks")
@pytest.mark.parametrize("query", [{}, {"window": "7d"}])
def test_states_are_counted_in_the_index_alone(page: Client, query: dict[str, str]) -> None:
    *_, counted = plans(page, TASKS, {**query, "_fragment": "states"})

    assert "USING COVERING INDEX django_tasks_result_status" in counted
    assert not A_SCAN.search(counted)


@pytest.mark.usefixtures("five_thousand_tasks")
def test_what_came_of_a_task_is_found_by_the_index_of_parents_and_the_keys(page: Client) -> None:
    *generations, rows = plans(page, TASKS, {"origin": "id-00001"})

    assert 1 < len(generations) < 10
    assert all("django_tasks_result_parent (parent_id=?)" in plan for plan in generations)
    assert "(id=?)" in rows


@pytest.mark.usefixtures("five_thousand_groups")
@pytest.mark.parametrize("query", [{}, {"p": "50"}, {"q": "id-00042"}])
def test_groups_are_listed_by_their_keys(page: Client, query: dict[str, str]) -> None:
    for one in plans(page, GROUPS, query):
        assert not A_SCAN.search(one)
        assert A_SORT not in one


@pytest.mark.usefixtures("five_thousand_messages")
@pytest.mark.parametrize(
    "query", [{}, {"state": "ready"}, {"state": "aside"}, {"queue": "mail", "state": "ready"}]
)
def test_a_list_of_messages_is_read_in_the_order_of_an_index(page: Client, query: dict[str, str]) -> None:
    found = list(plans(page, MESSAGES, query))

    assert len(found) == 2
    for one in found:
        assert not A_SCAN.search(one)
        assert A_SORT not in one
    assert "django_tasks_queue_next" in found[-1]
