"""What ended is counted once, however many housekeepers count, and whoever of them is killed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock, states
from django_tasks.message.task_id import new_task_id
from django_tasks.models import RollupMark, TaskResult, TaskRollup
from django_tasks.models.ends import Span
from django_tasks.models.rollup import TaskRollupQuerySet
from django_tasks.results import retention
from django_tasks.worker import rollups
from django_tasks.worker.rollups import LATE, Rollups

pytestmark = pytest.mark.django_db

End = Callable[..., TaskResult]
LONG_AGO = LATE + 10


@pytest.fixture
def end() -> End:
    def end(ago: float = LONG_AGO, **values: Any) -> TaskResult:
        finished = clock.to_storage(clock.now() - dt.timedelta(seconds=ago))
        given = {
            "id": new_task_id(),
            "task": "shop.tasks.pay",
            "queue": "default",
            "status": states.SUCCESS,
            "message": "{}",
            "created_at": finished - dt.timedelta(seconds=3),
            "started_at": finished - dt.timedelta(seconds=2),
            "finished_at": finished,
        }
        return TaskResult.objects.create(**{**given, **values})

    return end


def counted(span: Span = Span.EVER) -> int:
    return sum(row.succeeded + row.failed for row in TaskRollup.objects.of_all_tasks().filter(span=span))


@pytest.mark.parametrize("span", Span)
def test_what_ended_is_counted_once_however_often_it_turns(end: End, span: Span) -> None:
    # Given
    end()
    end(status=states.FAILURE)
    housekeeper = Rollups()

    # When
    for _turn in range(3):
        housekeeper.turn()

    # Then
    assert counted(span) == 2


def test_figures_of_a_later_turn_are_added_to_those_of_the_earlier(end: End) -> None:
    # Given
    housekeeper = Rollups()
    end(LATE + 3000)
    housekeeper.turn()

    # When
    end(LONG_AGO)
    housekeeper.turn()

    # Then
    (row,) = TaskRollup.objects.ever().of_all_tasks()
    assert (row.succeeded, row.run_time, row.figures.run_time.number) == (2, 4_000_000, 2)


def test_two_housekeepers_count_an_end_once(end: End, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given: the second one comes after the first one has read what it is going to count.
    end()
    read = TaskResult.objects.none().__class__.next_ends
    housekeeper, another = Rollups(), Rollups()

    def read_while_another_counts(*args: Any) -> Any:
        found = read(*args)
        monkeypatch.undo()
        another.turn()
        return found

    monkeypatch.setattr("django_tasks.models.result.TaskResultQuerySet.next_ends", read_while_another_counts)

    # When
    housekeeper.turn()

    # Then
    assert counted() == 1


def test_one_of_many_housekeepers_counts_and_the_others_leave_it_to_that_one(end: End) -> None:
    # Given
    end(LATE + 60)
    one, another = Rollups(), Rollups()
    one.turn()
    end(LATE + 30)

    # When
    another.turn()

    # Then
    assert counted() == 1
    one.turn()
    assert counted() == 2


def test_if_that_one_dies_another_goes_on_where_it_was(end: End) -> None:
    # Given
    end(LATE + 60)
    Rollups().turn()
    end(LATE + 30)
    RollupMark.objects.update(
        moved_at=clock.to_storage(clock.now() - dt.timedelta(seconds=rollups.INTERVAL + 1))
    )

    # When
    Rollups().turn()

    # Then
    assert counted() == 2


@pytest.mark.django_db(transaction=True)
def test_a_count_that_fails_leaves_the_mark_where_it_was(end: End, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given
    end()

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(TaskRollupQuerySet, "add", fail)

    # When
    with pytest.raises(RuntimeError):
        Rollups().turn()
    monkeypatch.undo()
    Rollups().turn()

    # Then
    assert counted() == 1


def test_what_has_just_ended_is_left_until_all_of_it_can_be_seen(end: End) -> None:
    end(LATE / 2)

    Rollups().turn()

    assert counted() == 0


def test_after_a_failure_the_mark_stands_still_until_what_was_kept_is_written(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    end()
    housekeeper = Rollups()
    now = clock.monotonic()
    monkeypatch.setattr(clock, "_offsets", {})  # what it finds is true of that time only
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    monkeypatch.setattr(housekeeper, "count", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        housekeeper.turn()
    monkeypatch.delattr(housekeeper, "count")

    # When
    housekeeper.turn()
    soon = counted()
    now += LATE
    housekeeper.turn()

    # Then
    assert (soon, counted()) == (0, 1)


def test_many_ends_are_counted_batch_by_batch_and_those_of_one_moment_together(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: more ends of one moment than there are in a batch, between others.
    monkeypatch.setattr(rollups, "BATCH", 4)
    moment = clock.to_storage(clock.now() - dt.timedelta(seconds=LONG_AGO))
    for number in range(-3, 10):
        end(finished_at=moment + dt.timedelta(seconds=min(number, 0) + max(number - 6, 0)))
    housekeeper = Rollups()

    # When
    turns = 1
    while housekeeper.turn() is not None:
        turns += 1

    # Then
    assert counted() == 13
    assert turns == 2


def test_what_is_to_run_again_has_not_ended(end: End) -> None:
    end(status=states.RETRY, finished_at=None)

    Rollups().turn()

    assert not TaskRollup.objects.exists()


def test_an_idle_housekeeper_asks_one_cheap_question(end: End, steady_statements: None) -> None:
    # Given
    end()
    housekeeper = Rollups()
    for _turn in range(2):
        housekeeper.turn()

    # When
    with CaptureQueriesContext(connection) as asked:
        housekeeper.turn()

    # Then
    assert len(asked) == 1, asked.captured_queries


def test_old_figures_are_deleted_and_what_grows_for_ever_stays(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    end()
    housekeeper = Rollups()
    housekeeper.turn()
    before = TaskRollup.objects.count()
    later = clock.now() + dt.timedelta(days=3)
    monkeypatch.setattr(Rollups, "now", lambda self: later)
    housekeeper.prunes = clock.monotonic()

    # When
    housekeeper.turn()

    # Then
    assert (counted(Span.MINUTE), counted(Span.HOUR), counted(Span.DAY), counted()) == (0, 1, 1, 1)
    assert TaskRollup.objects.count() == before - 2


def test_retention_waits_for_the_count(end: End) -> None:
    # Given
    end(86400 + LONG_AGO)
    assert retention.prune() == 0

    # When
    Rollups().turn()

    # Then
    assert retention.prune() == 1
    assert counted() == 1


def test_retention_does_not_wait_for_ever(end: End) -> None:
    end(86400 + retention.UNCOUNTED_KEPT + 10)

    assert retention.prune() == 1
