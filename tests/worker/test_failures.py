"""A worker keeps what went wrong with its tasks, and counts it by kind."""

from __future__ import annotations

from django_tasks.models import FailureGroup, FailureHour, FailureTally, TaskAttempt, TaskResult
from tests.ledger.tasks import always_busy, fail, nothing
from tests.workers import Start, all_final, eventually


def counted() -> bool:
    return not FailureTally.objects.exists() and FailureGroup.objects.count() == 2


def test_a_worker_counts_what_fails_while_it_runs(start_worker: Start) -> None:
    for number in range(20):
        fail.delay(f"no order {number}")
    busy = always_busy.delay()
    nothing.delay()

    start_worker()
    eventually(all_final)
    eventually(counted)

    orders, tried = FailureGroup.objects.order_by("-count")
    assert (orders.count, orders.error_type, orders.task) == (20, "ValueError", fail.name)
    assert (tried.count, tried.task) == (1, always_busy.name)
    assert sum(hour.count for hour in FailureHour.objects.all()) == 21
    assert TaskResult.objects.failed_as(orders.fingerprint).count() == 20
    attempts = TaskAttempt.objects.of_task(busy.id)
    assert [(one.number, one.ending) for one in attempts] == [(1, "RETRY"), (2, "RETRY"), (3, "FAILURE")]
    assert len({one.fingerprint for one in attempts}) == 1
    assert all("always_busy" in one.traceback for one in attempts)
