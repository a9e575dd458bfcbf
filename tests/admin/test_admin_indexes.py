"""At a million rows a page is as fast as its plan: no query of a list may read the whole table."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

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


def plans(page: Client, path: str, query: dict[str, str]) -> Iterator[str]:
    """How SQLite answers each query of a page about our tables, with the very parameters."""
    asked = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert page.get(path, query).status_code == 200
    for sql, params in asked:
        if "django_tasks_" in sql:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                yield "\n".join(line[-1] for line in cursor.fetchall())


@pytest.mark.usefixtures("five_thousand_tasks")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "django_tasks_result_new"),
        ({"p": "100"}, "django_tasks_result_new"),
        ({"status": "FAILURE"}, "django_tasks_result_status (status=?)"),
        ({"status": "PENDING"}, "django_tasks_result_status (status=?)"),
        ({"task": "shop.tasks.pay"}, "django_tasks_result_task (task=?)"),
        ({"task": "shop.tasks.pay", "status": "FAILURE"}, "(status=?)"),
        ({"group_id": "group"}, "django_tasks_result_group (group_id=?)"),
        ({"q": "id-00042"}, "(id=?)"),
        ({"q": "shop.tasks.p"}, "django_tasks_result_task (task>? AND task<?)"),
        ({"q": "shop."}, "django_tasks_result_task (task>? AND task<?)"),
    ],
)
def test_a_list_of_tasks_is_read_in_the_order_of_an_index(
    page: Client, query: dict[str, str], index: str
) -> None:
    found = list(plans(page, TASKS, query))

    assert len(found) >= 2
    for plan in found:
        assert not A_SCAN.search(plan)
        assert A_SORT not in plan
    assert index in found[-1]


@pytest.mark.usefixtures("five_thousand_tasks")
@pytest.mark.parametrize(
    "query", [{}, {"status": "FAILURE"}, {"task": "shop.tasks.pay"}, {"q": "shop."}, {"group_id": "group"}]
)
def test_tasks_are_counted_in_the_index_alone(page: Client, query: dict[str, str]) -> None:
    *_, count, _rows = plans(page, TASKS, query)

    assert "USING COVERING INDEX" in count


@pytest.mark.usefixtures("five_thousand_tasks")
def test_what_came_of_a_task_is_found_by_the_index_of_parents_and_the_keys(page: Client) -> None:
    *generations, count, rows = plans(page, TASKS, {"origin": "id-00001"})

    assert 1 < len(generations) < 10
    assert all("django_tasks_result_parent (parent_id=?)" in plan for plan in generations)
    assert "(id=?)" in count
    assert "(id=?)" in rows


@pytest.mark.usefixtures("five_thousand_groups")
@pytest.mark.parametrize("query", [{}, {"p": "50"}, {"q": "id-00042"}])
def test_groups_are_listed_by_their_keys(page: Client, query: dict[str, str]) -> None:
    for plan in plans(page, GROUPS, query):
        assert not A_SCAN.search(plan)
        assert A_SORT not in plan


@pytest.mark.usefixtures("five_thousand_messages")
@pytest.mark.parametrize(
    "query", [{}, {"state": "ready"}, {"state": "aside"}, {"queue": "mail", "state": "ready"}]
)
def test_a_list_of_messages_is_read_in_the_order_of_an_index(page: Client, query: dict[str, str]) -> None:
    found = list(plans(page, MESSAGES, query))

    assert len(found) == 2
    for plan in found:
        assert not A_SCAN.search(plan)
        assert A_SORT not in plan
    assert "django_tasks_queue_next" in found[-1]
