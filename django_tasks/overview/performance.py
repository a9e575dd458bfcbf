"""How each task does: how often it ran, how long it took, how much of it failed; and in the time before."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections
from django.utils.translation import gettext_lazy as _

from django_tasks import clock, conf
from django_tasks.models import TaskRollup
from django_tasks.models.ends import Span
from django_tasks.models.figures import Figures
from django_tasks.models.rollup import TaskRollupQuerySet

from .course import Period

#: Those that performance is told of.
PERIODS = (
    Period(key="24h", label=_("24 hours"), span=Span.HOUR, number=24),
    Period(key="7d", label=_("7 days"), span=Span.DAY, number=7),
    Period(key="30d", label=_("30 days"), span=Span.DAY, number=30),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPerformance:
    """One task in a period, and in the one before it, which was as long."""

    task: str
    now: Figures
    before: Figures
    #: Of the run time of all tasks together, 0 to 1.
    share: float
    #: How much of the period has passed, 0 to 1; the one before it has.
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCourse:
    """One task, span by span."""

    task: str
    period: Period
    spans: Sequence[tuple[dt.datetime, Figures]]
    now: Figures
    before: Figures
    elapsed: float


def performance(period: Period) -> list[TaskPerformance]:
    """Of all tasks that ended, those first that took most of the time. One statement."""
    rows, now = _rows(period)
    first = period.starts(now)[0]
    totals: defaultdict[str, tuple[Figures, Figures]] = defaultdict(lambda: (Figures(), Figures()))
    for row in rows.of_each_task():
        current, before = totals[row.task]
        (current if clock.from_storage(row.starts_at) >= first else before).add(row.figures)
    everything = sum(current.run_time.total for current, _ in totals.values())
    found = [
        TaskPerformance(
            task=task,
            now=current,
            before=before,
            elapsed=period.elapsed(now),
            share=current.run_time.total / everything if everything else 0.0,
        )
        for task, (current, before) in totals.items()
        if current.ended
    ]
    return sorted(found, key=lambda one: (-one.share, -one.now.ended, one.task))


def task_course(task: str, period: Period) -> TaskCourse:
    """One task. One statement."""
    rows, now = _rows(period)
    sums: defaultdict[dt.datetime, Figures] = defaultdict(Figures)
    for row in rows.filter(task=task):
        sums[clock.from_storage(row.starts_at)].add(row.figures)
    starts = period.starts(now)
    return TaskCourse(
        task=task,
        period=period,
        spans=[(start, sums[start]) for start in starts],
        now=Figures.sum(sums[start] for start in starts),
        before=Figures.sum(figures for start, figures in sums.items() if start < starts[0]),
        elapsed=period.elapsed(now),
    )


def _rows(period: Period) -> tuple[TaskRollupQuerySet, dt.datetime]:
    """Of the period and the one before."""
    rows = TaskRollup.objects.using(conf.current().DATABASE)
    now = clock.database_now(connections[rows.db])
    return rows.begun_since(period.span, period.starts(now)[0] - period.step * period.number), now
