"""Runs that did not simply succeed are kept with their errors, and failures are counted by kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock, task
from django_tasks.dispatch.now import send
from django_tasks.execution.outcome import Failed, Outcome, Request, Retried, Succeeded
from django_tasks.execution.settlement import settle
from django_tasks.message.errors import write_error
from django_tasks.message.message import TaskMessage
from django_tasks.message.task_id import new_task_id
from django_tasks.models import FailureGroup, FailureHour, FailureTally, TaskAttempt, TaskResult
from django_tasks.models.attempt import FIRST_KEPT, LAST_KEPT, LONGEST_TRACEBACK, MOST_KEPT, TRIMMED_EVERY
from django_tasks.models.failure import HOURS_KEPT, KEPT
from django_tasks.results import retention
from django_tasks.results.async_result import AsyncResult
from django_tasks.worker.rescue import rescue
from tests.message.test_fingerprint import TRACEBACK

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_tasks")]

OWNER = "a" * 32


def claimed(number: int = 1, **fields: object) -> list[Request]:
    messages = [TaskMessage(**{"id": new_task_id(), "task": "shop.pay", **fields}) for _ in range(number)]
    send(messages)
    TaskResult.objects.claim([message.id for message in messages], OWNER)
    return [Request(message=message, worker="w@here", owner=OWNER) for message in messages]


def failed(request: Request, said: str = "no 1", traceback: str = TRACEBACK) -> Failed:
    now = clock.now()
    error = write_error(ValueError(said))
    return Failed(request=request, error=error, traceback=traceback, started_at=now, finished_at=now)


def retried(request: Request) -> Retried:
    again = replace(request.message, retries=request.message.retries + 1)
    now, error = clock.now(), write_error(OSError("busy"))
    return Retried(request=request, message=again, error=error, traceback="", started_at=now, finished_at=now)


def succeeded(request: Request) -> Succeeded:
    now = clock.now()
    return Succeeded(request=request, result="1", started_at=now, finished_at=now)


def statements(outcomes: Sequence[Outcome]) -> list[str]:
    with CaptureQueriesContext(connection) as asked:
        settle(outcomes, OWNER)
    return [query["sql"] for query in asked]


def try_again(request: Request) -> Request:
    settle([retried(request)], OWNER)
    TaskResult.objects.claim([request.message.id], OWNER)
    return replace(request, message=replace(request.message, retries=request.message.retries + 1))


def numbers(id: str) -> list[int]:
    return list(TaskAttempt.objects.of_task(id).values_list("number", flat=True))


def test_a_task_that_fails_at_last_has_all_its_attempts() -> None:
    (request,) = claimed()

    settle([failed(try_again(request))], OWNER)

    first, last = TaskAttempt.objects.of_task(request.message.id)
    assert (first.number, first.ending, first.error_type, first.message) == (1, "RETRY", "OSError", "busy")
    assert (last.number, last.ending, last.worker, last.traceback) == (2, "FAILURE", "w@here", TRACEBACK)
    assert TaskResult.objects.get().fingerprint == last.fingerprint != first.fingerprint


def test_a_success_costs_no_statement_and_leaves_no_attempt() -> None:
    (request,) = claimed()

    written = statements([succeeded(request)])

    assert not [sql for sql in written if "attempt" in sql or "tally" in sql]
    assert not TaskAttempt.objects.exists()
    assert TaskResult.objects.get().fingerprint is None


def test_many_failures_cost_as_many_statements_as_one() -> None:
    (one,), many = claimed(), claimed(50)

    of_one = statements([failed(one)])
    of_many = statements([failed(request, f"no {number}") for number, request in enumerate(many)])

    assert len(of_one) == len(of_many)
    assert TaskAttempt.objects.count() == 51
    assert [row.count for row in FailureTally.objects.order_by("id")] == [1, 50]


def test_what_comes_too_late_is_not_noted() -> None:
    (request,) = claimed()

    settle([failed(request)], "b" * 32)

    assert not TaskAttempt.objects.exists()
    assert not FailureTally.objects.exists()


def test_of_an_untracked_task_nothing_is_kept_unless_its_errors_are() -> None:
    @task(name="shop.keeps", ignore_result=True, store_errors_even_if_ignored=True)
    def keeps() -> None: ...

    forgets, kept = (
        Request(
            message=TaskMessage(id=new_task_id(), task=name, ignore_result=True), worker="w", tracked=False
        )
        for name in ("shop.forgets", "shop.keeps")
    )

    settle([failed(forgets), failed(kept)], OWNER)

    assert TaskAttempt.objects.get().task_id == kept.message.id
    assert TaskResult.objects.get().fingerprint == TaskAttempt.objects.get().fingerprint


def test_what_no_database_takes_is_stored_all_the_same() -> None:
    (request,) = claimed()

    settle([failed(request, "nul \0 and half a pair \ud800", "x\0" * LONGEST_TRACEBACK)], OWNER)

    kept = TaskAttempt.objects.get()
    assert "nul" in kept.message
    assert len(kept.traceback) <= LONGEST_TRACEBACK + 10


def test_a_task_that_is_tried_for_ever_keeps_its_first_attempts_and_its_latest() -> None:
    (request,) = claimed()
    for _ in range(MOST_KEPT + 2 * TRIMMED_EVERY):
        request = try_again(request)

    kept = numbers(request.message.id)

    assert kept[:FIRST_KEPT] == list(range(1, FIRST_KEPT + 1))
    assert kept[FIRST_KEPT:] == list(range(31, 71))
    assert len(kept) == FIRST_KEPT + LAST_KEPT


@pytest.mark.parametrize(("is_crash", "ending"), [(True, "LOST"), (False, "CUT")])
def test_a_run_that_was_lost_and_is_made_again_is_an_attempt(is_crash: bool, ending: str) -> None:
    @task(name="shop.late", acks_late=True)
    def late() -> None: ...

    (request,) = claimed(task="shop.late")

    rescue(OWNER, has_begun=lambda id: True, is_crash=is_crash, why="It is gone.")

    attempt = TaskAttempt.objects.get()
    assert (attempt.task_id, attempt.ending, attempt.number) == (request.message.id, ending, 1)
    assert (attempt.error_type, attempt.message) == ("django_tasks.exceptions.WorkerLostError", "It is gone.")
    assert not FailureTally.objects.exists()


def test_a_run_that_was_lost_for_good_is_a_failure() -> None:
    claimed()

    rescue(OWNER, has_begun=lambda id: True, is_crash=True, why="It is gone.")

    assert TaskAttempt.objects.get().ending == "FAILURE"
    assert FailureTally.objects.get().error_type == "django_tasks.exceptions.WorkerLostError"


def test_what_had_not_begun_leaves_no_attempt() -> None:
    claimed()

    rescue(OWNER, has_begun=lambda id: False, is_crash=True, why="It is gone.")

    assert not TaskAttempt.objects.exists()


def test_attempts_go_with_their_task() -> None:
    expired, forgotten, kept = claimed(3)
    settle([failed(expired), failed(forgotten), failed(kept)], OWNER)
    TaskResult.objects.filter(id=expired.message.id).update(
        finished_at=clock.to_storage(clock.now() - dt.timedelta(days=9))
    )

    retention.prune_all()
    AsyncResult(forgotten.message.id).forget()

    assert [attempt.task_id for attempt in TaskAttempt.objects.all()] == [kept.message.id]


# -- counting


def test_failures_of_one_kind_are_one_group() -> None:
    requests = claimed(5)
    settle([failed(request, f"no {number}") for number, request in enumerate(requests[:3])], OWNER)
    settle([failed(requests[3], "no 17"), failed(requests[4], "something else")], OWNER)

    assert FailureTally.objects.count_in() == 3

    assert sorted(group.count for group in FailureGroup.objects.all()) == [1, 4]
    assert sorted(hour.count for hour in FailureHour.objects.all()) == [1, 4]
    group = FailureGroup.objects.get(count=4)
    assert (group.task, group.error_type, group.sample) == ("shop.pay", "ValueError", "no 17")
    assert TaskResult.objects.failed_as(group.fingerprint).count() == 4


def test_each_failure_is_counted_once() -> None:
    for request in claimed(3):
        settle([failed(request)], OWNER)

    assert [FailureTally.objects.count_in(limit=2) for _ in range(3)] == [2, 1, 0]

    group = FailureGroup.objects.get()
    assert (group.count, group.first_seen < group.last_seen) == (3, True)


def test_an_acknowledged_kind_is_news_again_when_it_comes_again() -> None:
    first, second = claimed(2)
    settle([failed(first)], OWNER)
    FailureTally.objects.count_in()

    FailureGroup.objects.acknowledge(clock.to_storage(clock.now()), "boss", "The bank is down.")
    known = FailureGroup.objects.get().is_open, FailureGroup.objects.open().exists()
    settle([failed(second)], OWNER)
    FailureTally.objects.count_in()

    assert known == (False, False)
    assert FailureGroup.objects.get().is_open
    assert FailureGroup.objects.open().get().note == "The bank is down."


def test_a_muted_kind_is_counted_and_no_news() -> None:
    first, second = claimed(2)
    settle([failed(first)], OWNER)
    FailureTally.objects.count_in()
    FailureGroup.objects.mute(muted=True)

    settle([failed(second)], OWNER)
    FailureTally.objects.count_in()

    assert FailureGroup.objects.get().count == 2
    assert not FailureGroup.objects.open().exists()


def test_nothing_to_count_costs_one_question() -> None:
    with CaptureQueriesContext(connection) as asked:
        assert FailureTally.objects.count_in() == 0

    assert len(asked) == 1


def test_what_was_counted_long_ago_is_forgotten() -> None:
    (request,) = claimed()
    settle([failed(request)], OWNER)
    FailureTally.objects.count_in()
    FailureHour.objects.update(hour=clock.to_storage(clock.now() - HOURS_KEPT - dt.timedelta(hours=1)))
    recent = retention.prune_failures(), FailureGroup.objects.count()
    FailureGroup.objects.update(last_seen=clock.to_storage(clock.now() - KEPT - dt.timedelta(hours=1)))

    assert (recent, retention.prune_failures()) == ((1, 1), 1)
    assert not FailureGroup.objects.exists()
