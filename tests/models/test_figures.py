"""Figures add up: of ends, of minutes, of queues; and a histogram knows a span to a factor of two."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_tasks import states
from django_tasks.models.ends import ALL_TASKS, End, Key, Span, figures_of
from django_tasks.models.figures import BUCKETS, LIMITS, Figures, Spans

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)

seconds = st.floats(0, LIMITS[-1] * 0.99)


def ms(number: float) -> dt.timedelta:
    return dt.timedelta(milliseconds=number)


def spans(*some: float) -> Spans:
    counted = Spans()
    for number in some:
        counted.count(ms(number))
    return counted


def end(after: float = 0, *, task: str = "pay", status: str = states.SUCCESS, retries: int = 0) -> End:
    """It waited for a second and ran for two."""
    finished = NOON + dt.timedelta(seconds=after)
    started = finished - dt.timedelta(seconds=2)
    return End(task, "default", status, retries, started - dt.timedelta(seconds=1), started, finished)


@pytest.mark.parametrize(
    ("span", "bucket"),
    [(0, 0), (0.999, 0), (1, 1), (1.9, 1), (2, 2), (3.9, 2), (4, 3), (1000, 10), (10**12, BUCKETS - 1)],
)
def test_each_bucket_is_twice_as_wide_as_the_one_before(span: float, bucket: int) -> None:
    assert spans(span).buckets.index(1) == bucket


def test_a_span_below_nothing_is_none() -> None:
    assert spans(-5).total == 0
    assert spans(-5).buckets[0] == 1


def test_of_nothing_there_are_no_percentiles() -> None:
    assert Spans().percentile(95) is None


def test_what_is_longer_than_the_last_limit_is_said_to_take_that_long() -> None:
    assert spans(10**12).percentile(50) == dt.timedelta(seconds=LIMITS[-1])


@given(st.lists(seconds, min_size=1, max_size=200), st.floats(1, 100))
def test_a_percentile_is_right_to_a_factor_of_two(some: list[float], percent: float) -> None:
    # Given
    counted = spans(*(second * 1000 for second in some))

    # When
    found = counted.percentile(percent)

    # Then
    assert found is not None
    ordered = sorted(some)
    rank = next(n for n in range(1, len(some) + 1) if n >= len(some) * percent / 100)
    exact = max(ordered[rank - 1], 0.0005)
    assert exact / 2.01 <= max(found.total_seconds(), 0.0005) <= exact * 2.01


@given(st.lists(seconds, max_size=50), st.lists(seconds, max_size=50))
def test_sums_do_not_depend_on_the_order(some: list[float], others: list[float]) -> None:
    together = spans(*some, *others)

    added = spans(*some)
    added.add(spans(*others))

    assert added == together


def test_spans_are_read_as_they_were_written() -> None:
    counted = spans(1, 20, 300)

    assert Spans.read(counted.total, counted.text) == counted


@pytest.mark.parametrize("text", ["", "null", "[1,2]", "{", "7"])
def test_what_is_no_histogram_is_read_as_an_empty_one(text: str) -> None:
    assert Spans.read(5, text) == Spans(5)


def test_an_end_is_counted_by_how_it_ended() -> None:
    figures = Figures()

    for status in (states.SUCCESS, states.SUCCESS, states.FAILURE, states.REVOKED, states.IGNORED):
        figures.count(*end(status=status)[2:])

    assert (figures.succeeded, figures.failed, figures.others, figures.ended) == (2, 1, 2, 5)
    assert figures.failing == pytest.approx(1 / 3)
    assert figures.run_time == spans(*[2000] * 5)
    assert figures.wait == spans(*[1000] * 5)


def test_a_task_that_never_began_took_no_time() -> None:
    figures = Figures()

    figures.count(states.REVOKED, 0, NOON, None, NOON)

    assert (figures.ended, figures.run_time.number, figures.wait.number, figures.failing) == (1, 0, 0, None)


def test_what_a_retry_waited_for_is_no_wait() -> None:
    figures = Figures()

    figures.count(*end(retries=3)[2:])

    assert (figures.retries, figures.run_time.number, figures.wait.number) == (3, 1, 0)


def test_an_end_is_counted_for_its_minute_its_hour_its_day_and_for_ever() -> None:
    found = figures_of([end(61), end(62), end(3601)], NOON)

    counts = {
        (key.span, key.starts_at): figures.succeeded for key, figures in found.items() if key.task == "pay"
    }
    assert counts == {
        (Span.MINUTE, NOON + dt.timedelta(minutes=1)): 2,
        (Span.MINUTE, NOON + dt.timedelta(hours=1)): 1,
        (Span.HOUR, NOON): 2,
        (Span.HOUR, NOON + dt.timedelta(hours=1)): 1,
        (Span.DAY, NOON.replace(hour=0)): 3,
        (Span.EVER, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)): 3,
    }


def test_all_tasks_of_a_queue_are_counted_together_too() -> None:
    found = figures_of([end(task="pay"), end(task="ship", status=states.FAILURE)], NOON)

    together = found[Key(Span.HOUR, NOON, ALL_TASKS, "default")]
    assert (together.succeeded, together.failed) == (1, 1)


def test_what_ended_long_ago_is_counted_in_coarse_spans_only() -> None:
    found = figures_of([end(-86400 * 3), end(-86400 * 40), end(-86400 * 500)], NOON)

    spans_of = sorted(key.span for key in found if key.task == "pay")
    assert spans_of == [Span.EVER, Span.HOUR, Span.DAY, Span.DAY]
