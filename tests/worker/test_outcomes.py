"""Every way a run can end, in a real worker (FEATURES §4, §7, §13)."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Callable

import pytest
from django.utils import timezone

from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import (
    Busy,
    always_busy,
    ignore,
    note,
    reject_once,
    retry_later,
    succeed_at,
    succeed_at_untracked,
    told,
)
from tests.workers import RunningWorker, Start, eventually, status

pytestmark = pytest.mark.worker
RunBurst = Callable[..., RunningWorker]


def test_a_retried_task_runs_again_under_its_id_until_it_succeeds(start_worker: Start) -> None:
    """FEATURES RET-01, RET-02."""
    sent = succeed_at.delay(2)
    start_worker("--processes=2")

    assert sent.get(timeout=30) == 2
    row = TaskResult.objects.get(id=sent.id)
    assert (row.retries, row.traceback, row.claimed_by) == (2, None, None)
    assert [entry.number for entry in Entry.objects.filter(task_id=sent.id).order_by("at")] == [0, 1, 2]


def test_ret_15_between_two_runs_the_state_is_retry_and_the_cause_can_be_read(run_burst: RunBurst) -> None:
    sent = retry_later.delay()

    run_burst("--processes=1")

    assert sent.state == "RETRY"
    assert isinstance(sent.info, Busy)
    assert "retry_later" in (sent.traceback or "")
    parked = QueuedMessage.objects.get()
    assert parked.state == QueuedMessage.State.PARKED
    assert parked.deliver_at is not None
    assert parked.deliver_at - timezone.now() > dt.timedelta(minutes=58)


def test_an_automatic_retry_gives_up_with_the_exception(start_worker: Start) -> None:
    """FEATURES AUT-08."""
    sent = always_busy.delay()
    start_worker("--processes=1")

    with pytest.raises(Busy, match="always"):
        sent.get(timeout=30)
    assert Entry.objects.filter(task_id=sent.id).count() == 3


def test_an_untracked_task_is_retried_too(start_worker: Start) -> None:
    sent = succeed_at_untracked.delay(2)
    start_worker("--processes=1")

    eventually(lambda: Entry.objects.filter(task_id=sent.id).count() == 3, "three runs")
    eventually(lambda: not QueuedMessage.objects.exists(), "nothing is left")
    assert not TaskResult.objects.exists()


def test_a_revoked_retry_does_not_run_again(run_burst: RunBurst) -> None:
    sent = retry_later.delay()
    run_burst("--processes=1")

    assert sent.revoke()
    QueuedMessage.objects.update(deliver_at=timezone.now())
    run_burst("--processes=1")

    assert sent.state == "REVOKED"


def test_ignore_ends_the_task_and_says_nothing(run_burst: RunBurst) -> None:
    sent = ignore.delay()

    run_burst("--processes=1")

    assert (status(sent.id), sent.get(timeout=5)) == ("IGNORED", None)


def test_a_rejected_task_goes_back_to_its_queue_and_runs_again(run_burst: RunBurst) -> None:
    sent = reject_once.delay()

    run_burst("--processes=1")

    assert sent.get(timeout=5) == "now"


@pytest.mark.parametrize(
    ("outcome", "calls"),
    [
        (
            "success",
            ["before_start (('success',), {})", "on_success ('fine',)", "after_return ('SUCCESS', 'fine')"],
        ),
        (
            "failure",
            [
                "before_start (('failure',), {})",
                "on_failure (ValueError('bang'), True)",
                "after_return ('FAILURE', ValueError('bang'))",
            ],
        ),
        (
            "retry",
            [
                "before_start (('retry',), {})",
                "on_retry (Busy('once'),)",
                "before_start (('retry',), {})",
                "on_success ('fine',)",
                "after_return ('SUCCESS', 'fine')",
            ],
        ),
    ],
)
def test_hnd_01_to_09_handlers_are_called_with_their_arguments_and_change_nothing(
    start_worker: Start, outcome: str, calls: list[str]
) -> None:
    """FEATURES HND-01, HND-02, HND-03, HND-04, HND-05, HND-06, HND-08, HND-09."""
    sent = told.delay(outcome)
    worker = start_worker("--processes=1")

    sent.get(timeout=30, propagate=False)

    # Tuples travel as lists: JSON has no others.
    told_of = [entry.task_id.removeprefix(f"{sent.id} ") for entry in Entry.objects.order_by("at", "id")]
    assert told_of == calls
    assert status(sent.id) == ("FAILURE" if outcome == "failure" else "SUCCESS")
    eventually(lambda: "the outcome stands" in worker.output, "the handler's error is logged")


def test_a_process_killed_between_two_runs_loses_neither(start_worker: Start) -> None:
    sent = [succeed_at.delay(1) for _ in range(50)]
    others = note.bulk([(number,) for number in range(100)])
    worker = start_worker("--processes=2")

    eventually(lambda: Entry.objects.filter(number=0).count() >= 20, "some first runs")

    for pid in worker.children()[1:]:
        os.kill(pid, signal.SIGKILL)
    for result in (*sent, *others):
        result.get(timeout=40, propagate=False)

    lost = TaskResult.objects.filter(status="FAILURE")
    assert lost.count() <= 2, "at most what was running"
