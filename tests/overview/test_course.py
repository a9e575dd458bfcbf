"""What ended, span by span: from the figures, and what is not yet in them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from django_tasks import clock, states
from django_tasks.overview import course as looking_back
from django_tasks.overview.course import HOUR, PERIODS, course, period
from django_tasks.overview.performance import PERIODS as LONG_PERIODS
from django_tasks.overview.performance import performance, task_course
from django_tasks.worker.rollups import Rollups

from .conftest import Make

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("steady_statements")]

HOUR_SECONDS, DAY_SECONDS = 3600, 86400
A_DAY, A_WEEK, A_MONTH = LONG_PERIODS


@pytest.mark.parametrize("is_counted", [True, False])
@pytest.mark.parametrize("shown", PERIODS)
def test_what_ended_is_there_whether_it_is_counted_or_not(
    is_counted: bool, shown: looking_back.Period, make_end: Make
) -> None:
    # Given
    make_end(60)
    make_end(60, status=states.FAILURE, queue="mail")
    if is_counted:
        Rollups().turn()

    # When
    seen = course(shown)

    # Then
    assert (seen.total.succeeded, seen.total.failed, seen.total.run_time.number) == (1, 1, 2)
    assert (seen.last_day.succeeded, seen.last_day.failed) == (1, 1)
    assert sum(seen.hours_of["mail"]) == 1
    assert seen.lately == {"default": 1, "mail": 1}
    assert len(seen.spans) == shown.number


@pytest.mark.parametrize("is_counted", [True, False])
def test_one_queue_is_told_of_alone(is_counted: bool, make_end: Make) -> None:
    make_end(60)
    make_end(60, status=states.FAILURE, queue="mail")
    if is_counted:
        Rollups().turn()

    seen = course(HOUR, "mail")

    assert (seen.total.succeeded, seen.total.failed) == (0, 1)
    assert (seen.last_day.succeeded, seen.last_day.failed) == (0, 1)
    assert seen.lately == {"mail": 1}
    assert (seen.ended_per_minute("mail"), seen.ended_per_minute("default")) == (0.2, 0)


def test_part_may_be_counted_and_part_not(make_end: Make) -> None:
    make_end(90)
    Rollups().turn()
    make_end(1)

    assert course(HOUR).total.succeeded == 2


def test_the_last_day_is_24_hours_to_the_minute(make_end: Make) -> None:
    make_end(DAY_SECONDS - 90)
    make_end(DAY_SECONDS + 90)
    Rollups().turn()

    assert course(HOUR).last_day.succeeded == 1


def test_spans_are_in_order_and_the_last_one_is_under_way() -> None:
    starts = [start for start, _ in course(HOUR).spans]

    now = clock.now()
    assert starts == sorted(starts)
    assert dt.timedelta() <= now - starts[-1] < dt.timedelta(minutes=2)


def test_if_too_much_is_not_counted_it_says_so(make_end: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_back, "MOST_UNCOUNTED", 2)
    for _number in range(3):
        make_end()

    seen = course(HOUR)

    assert (seen.is_behind, seen.total.succeeded) == (True, 2)


@pytest.mark.parametrize("shown", PERIODS)
def test_it_takes_two_questions(
    shown: looking_back.Period, make_end: Make, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_end()
    course(shown)  # which asks the database for its time

    with django_assert_num_queries(2):
        course(shown)


def test_a_period_nobody_knows_is_the_first() -> None:
    assert period("7d").number == 168
    assert period("nonsense") is HOUR


def test_tasks_are_told_of_by_the_time_they_took(make_end: Make) -> None:
    # Given: one takes two seconds a time, and the other nothing to speak of.
    for _number in range(3):
        make_end(100, task="slow")
    fast = make_end(100, task="fast", status=states.FAILURE)
    type(fast).objects.filter(pk=fast.pk).update(started_at=fast.finished_at)
    Rollups().turn()

    # When
    first, second = performance(A_DAY)

    # Then
    assert (first.task, first.now.ended, first.share, first.now.failing) == ("slow", 3, 1.0, 0.0)
    assert (second.task, second.now.failing, second.share) == ("fast", 1.0, 0.0)


@pytest.mark.parametrize("shown", LONG_PERIODS)
def test_a_period_is_compared_with_the_one_before(shown: looking_back.Period, make_end: Make) -> None:
    # Given
    length = shown.step.total_seconds() * shown.number
    make_end(100)
    make_end(length + 100)
    make_end(length + 200, status=states.FAILURE)
    make_end(length * 2 + DAY_SECONDS)
    Rollups().turn()

    # When
    (one,) = performance(shown)
    seen = task_course(one.task, shown)

    # Then
    for now, before in ((one.now, one.before), (seen.now, seen.before)):
        assert (now.ended, before.succeeded, before.failed) == (1, 1, 1)


@pytest.mark.parametrize("shown", LONG_PERIODS)
def test_of_a_period_the_last_span_is_under_way(shown: looking_back.Period) -> None:
    elapsed = shown.elapsed(clock.now())

    assert 1 - 1 / shown.number <= elapsed <= 1


def test_of_a_task_that_did_not_run_lately_nothing_is_told(make_end: Make) -> None:
    make_end(DAY_SECONDS * 1.5)
    Rollups().turn()

    assert performance(A_DAY) == []
    assert task_course("shop.tasks.pay", A_DAY).now.ended == 0


def test_performance_takes_one_question(
    make_end: Make, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_end()
    performance(A_MONTH)

    with django_assert_num_queries(1):
        performance(A_MONTH)
