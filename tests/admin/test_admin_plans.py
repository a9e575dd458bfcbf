"""On every database: no page reads a table that grows with what was sent from one end to the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from django_tasks import clock, states
from django_tasks.admin.failures import FailuresPage
from django_tasks.models import (
    FailureGroup,
    FailureHour,
    QueuedMessage,
    RollupMark,
    TaskAttempt,
    TaskGroup,
    TaskResult,
    TaskRollup,
)
from django_tasks.models.ends import Span
from django_tasks.models.failure import hour_of

from .plans import LARGE, asked_by, scans

NUMBER, KINDS, HOURS, DAYS = 2_000, 100, 20, 60
WORKER, TASK, KIND = "a" * 32, "id-00100", f"{7:016x}"


def ago(**span: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(**span))


@pytest.fixture
def a_long_history(db: None, make_worker: Any) -> None:
    """Of everything so much that it matters how it is read, and of what is asked for a little."""
    make_worker(id=WORKER)
    _sent()
    _failed()
    _counted()
    TaskGroup.objects.create(id="group", total=20, pending=3, created_at=ago(hours=1))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _sent() -> None:
    TaskResult.objects.bulk_create(
        TaskResult(
            id=f"id-{number:05}",
            task=f"shop.tasks.task_{number % 50}",
            status=states.FAILURE if number % 10 == 0 else states.STARTED if number < 5 else states.SUCCESS,
            queue="default",
            message="{}",
            result='{"exc_type": "OSError", "exc_message": ["gone"]}',
            created_at=ago(minutes=number),
            started_at=ago(minutes=number),
            finished_at=None if number < 5 else ago(minutes=number),
            claimed_by=f"{WORKER}.1" if number < 5 else None,
            group_id="group" if 100 <= number < 120 else None,
            parent_id=f"id-{number // 10:05}" if number else None,
            fingerprint=f"{number // 10 % KINDS:016x}" if number % 10 == 0 else None,
        )
        for number in range(NUMBER)
    )
    TaskAttempt.objects.bulk_create(
        TaskAttempt(task_id=f"id-{number // 2:05}", number=number % 2 + 1, finished_at=ago(minutes=number))
        for number in range(NUMBER)
    )
    QueuedMessage.objects.bulk_create(
        QueuedMessage(queue=f"queue_{number % 20}", payload="{}", sent_at=ago(seconds=number))
        for number in range(NUMBER)
    )


def _failed() -> None:
    FailureGroup.objects.bulk_create(
        FailureGroup(
            fingerprint=f"{number:016x}",
            task="shop.tasks.pay",
            error_type="OSError",
            count=number,
            first_seen=ago(days=9),
            last_seen=ago(minutes=number),
            muted=number % 2 == 0,
        )
        for number in range(KINDS)
    )
    FailureHour.objects.bulk_create(
        FailureHour(fingerprint=f"{number:016x}", hour=hour_of(ago(hours=hour)), count=1)
        for number in range(KINDS)
        for hour in range(HOURS)
    )


def _counted() -> None:
    now = clock.now()
    RollupMark.objects.create(id=RollupMark.THE_ONE, counted_until=ago(minutes=2))
    TaskRollup.objects.bulk_create(
        TaskRollup(span=span, starts_at=clock.to_storage(start), task=task, queue="default", succeeded=1)
        for span, number in ((Span.HOUR, 24 * DAYS), (Span.DAY, DAYS), (Span.MINUTE, 600))
        for start in {span.start(now - dt.timedelta(seconds=span.value * back)) for back in range(number)}
        for task in ("", "shop.tasks.task_1", "shop.tasks.task_2")
    )


def of_row(model: str, key: str) -> str:
    return reverse(f"admin:django_tasks_{model}_change", args=[key])


TASKS = reverse("admin:django_tasks_taskresult_changelist")
FAILURES, PERFORMANCE, WORKERS, OVERVIEW, QUEUES = (
    reverse(f"admin:django_tasks_{page}")
    for page in ("failures", "performance", "workers", "overview", "queues")
)
TASK_PAGE, WORKER_PAGE = of_row("taskresult", TASK), of_row("worker", WORKER)
PERIODS = ("24h", "7d", "30d")
PAGES: Sequence[tuple[str, dict[str, str]]] = [
    *((FAILURES, {"show": shown}) for shown in ("open", "muted", "all")),
    (FAILURES, {"before": "2020-01-01T00:00:00+00:00"}),
    (FAILURES, {"before": "2100-01-01T00:00:00+00:00", "_fragment": "failures"}),
    *((PERFORMANCE, {"period": period}) for period in PERIODS),
    *((PERFORMANCE, {"period": period, "task": "shop.tasks.task_1"}) for period in PERIODS),
    (WORKERS, {}),
    (WORKERS, {"_fragment": "workers"}),
    *((WORKER_PAGE, {"_fragment": name} if name else {}) for name in ("", "facts", "running")),
    *((TASK_PAGE, {"_fragment": name} if name else {}) for name in ("", "head", "attempts")),
    (reverse("admin:django_tasks_taskresult_raw", args=[TASK]), {}),
    *((OVERVIEW, {"period": period}) for period in ("1h", "24h", "7d")),
    *((OVERVIEW, {"_fragment": name}) for name in ("now", "throughput", "queues", "failures", "workers")),
    (TASKS, {"window": "24h"}),
    (TASKS, {"q": "user:42"}),
    *((TASKS, {"status": status}) for status in ("FAILURE", "PENDING")),
    (QUEUES, {}),
    (reverse("admin:django_tasks_queue", args=["queue_1"]), {}),
]


def whole_tables(visit: Callable[[], object]) -> list[tuple[str, list[str]]]:
    asked = asked_by(visit)
    assert asked
    return [(sql, found) for sql, params in asked if (found := scans(sql, params))]


@pytest.mark.usefixtures("a_long_history")
def test_a_page_reads_what_it_shows_and_no_whole_table(page: Client) -> None:
    found = {
        f"{path} {query}": read
        for path, query in PAGES
        if (read := whole_tables(lambda: page.get(path, query).content))  # noqa: B023 - visited at once
    }

    assert found == {}


@pytest.mark.parametrize("asked", [{}, {"window": "24h"}, {"q": "user:42"}])
def test_all_tasks_are_listed_in_the_very_order_of_their_index(page: Client, asked: dict[str, str]) -> None:
    """Of a table of thousands MariaDB sorts all, and of millions only if it must: no plan shows it here."""
    order = page.get(TASKS, asked).context["cl"].queryset.query.order_by

    (index,) = (index for index in TaskResult._meta.indexes if index.name == "django_tasks_result_new")
    # InnoDB has the key at the end of every index.
    # Django's list names a column twice, and its SQL once.
    assert list(dict.fromkeys(order)) == [*(f"-{column}" for column in index.fields), "-pk"]


@pytest.mark.usefixtures("a_long_history")
def test_what_is_asked_before_something_is_done_to_a_kind_is_in_its_index(page: Client) -> None:
    urls = [reverse("admin:django_tasks_failures_action", args=[deed.name]) for deed in FailuresPage.deeds]
    found = {
        url: read
        for url in urls
        if (read := whole_tables(lambda: page.post(url, {"row": KIND}).content))  # noqa: B023
    }

    assert found == {}


@pytest.mark.django_db
@pytest.mark.parametrize("table", LARGE)
@pytest.mark.parametrize(
    "rest",
    ["ORDER BY id + 0 LIMIT 5", "WHERE id + 0 = 5", "WHERE id IN (SELECT id FROM {table} WHERE id + 0 = 5)"],
)
def test_a_query_that_does_read_a_whole_table_would_be_found(table: str, rest: str) -> None:
    """Else these tests would prove nothing."""
    key = "fingerprint" if "group" in table else "id"
    is_text = table in ("django_tasks_taskresult", "django_tasks_failuregroup")
    hidden = f"upper({key})" if is_text else f"{key} + 0"
    condition = rest.format(table=table).replace("id + 0", hidden).replace("= 5", "= '5'")

    assert scans(f"SELECT * FROM {table} {condition.replace(' id ', f' {key} ')}", ())
