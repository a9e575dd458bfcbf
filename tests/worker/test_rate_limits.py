"""Rate limits: starts spread evenly over one worker (FEATURES OPT-09, WRK-02)."""

from __future__ import annotations

import itertools
import os
import statistics

import pytest
from django.test import override_settings

from django_tasks import task
from django_tasks.definition.rates import per_second
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker.rate_limits import NEAR, RateLimits
from tests.ledger.models import Entry
from tests.ledger.tasks import note, rare, spaced
from tests.workers import Start, eventually


@task(rate_limit="2/s")
def twice_a_second() -> None: ...


@task
def unlimited() -> None: ...


@pytest.mark.parametrize(
    ("rate", "found"),
    [(None, None), (0, None), ("100/m", 100 / 60), (5, 5), ("2", 2), ("7/h", 7 / 3600), ("3/s", 3)],
)
def test_rates_are_written_as_in_celery(rate: object, found: float | None) -> None:
    assert per_second(rate) == found  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", ["fast", "1/d", "-1/s", "nan", ""])
def test_what_is_no_rate_is_refused_where_it_is_written(rate: str) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        task(name="never", rate_limit=rate)(lambda: None)


def test_starts_are_spread_evenly_near_ones_reserved_and_far_ones_only_guessed() -> None:
    """FEATURES OPT-09."""
    limits = RateLimits()

    starts = [limits.next_start(twice_a_second) for _ in range(8)]

    assert all(start is not None for start in starts)
    gaps = [round(after.at - before.at, 1) for before, after in itertools.pairwise(starts)]  # type: ignore[union-attr]
    assert gaps == [0.5] * 7
    first = starts[0]
    assert first is not None
    assert [start.is_far for start in starts] == [start.at - first.at > NEAR for start in starts]  # type: ignore[union-attr]


def test_a_task_without_a_limit_is_not_kept() -> None:
    assert RateLimits().next_start(unlimited) is None


def test_a_rate_can_be_set_and_lifted_at_run_time() -> None:
    limits = RateLimits()

    limits.set(unlimited.name, "1/h")
    limits.set(twice_a_second.name, None)

    limits.next_start(unlimited)
    second = limits.next_start(unlimited)
    assert second is not None
    assert second.is_far
    assert limits.next_start(twice_a_second) is None


@override_settings(DJANGO_TASKS={"WORKER_DISABLE_RATE_LIMITS": True})
def test_limits_can_be_switched_off() -> None:
    """FEATURES SET-06, WRK-02."""
    assert RateLimits().next_start(twice_a_second) is None


@override_settings(DJANGO_TASKS={"TASK_DEFAULT_RATE_LIMIT": "1/h"})
def test_there_may_be_a_limit_for_all() -> None:
    """FEATURES OPT-09, SET-05."""
    assert RateLimits().next_start(unlimited) is not None


def test_a_process_that_dies_with_the_table_locked_does_not_lock_the_others_out() -> None:
    limits = RateLimits()
    if (pid := os.fork()) == 0:
        with limits._locked():
            os._exit(1)
    os.waitpid(pid, 0)

    assert limits.next_start(twice_a_second) is not None


@pytest.mark.worker
@pytest.mark.parametrize("size", [("--processes=2",), ("--processes=1", "--threads=4")], ids=" ".join)
def test_all_finish_and_no_two_begin_closer_than_the_rate(start_worker: Start, size: tuple[str]) -> None:
    """FEATURES OPT-09."""
    sent = spaced.bulk([()] * 40)
    start_worker(*size)

    for result in sent:
        result.get(timeout=40)

    began = sorted(TaskResult.objects.values_list("started_at", flat=True))
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(began)]  # type: ignore[operator]
    # On a busy machine a body may begin late and the next ones on time, which are closer then: of few of all spans
    # of ten gaps is that true, and least of the whole.
    spans = [sum(gaps[at : at + 10]) for at in range(len(gaps) - 9)]
    assert statistics.median(spans) > 0.95
    assert sum(gaps) > 3.4
    assert Entry.objects.count() == 40


@pytest.mark.worker
def test_what_waits_for_its_rate_is_parked_and_blocks_nobody(start_worker: Start) -> None:
    rare.bulk([()] * 20)
    others = note.bulk([(number,) for number in range(50)])
    start_worker("--processes=1")

    for result in others:
        result.get(timeout=30)

    eventually(lambda: QueuedMessage.objects.filter(state=QueuedMessage.State.PARKED).count() >= 18, "parked")
    rare_ones = TaskResult.objects.filter(task=rare.name).values_list("id", flat=True)
    assert Entry.objects.filter(task_id__in=list(rare_ones)).count() <= 2
