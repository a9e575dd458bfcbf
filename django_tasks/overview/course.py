"""The course of things: what ended in each minute or hour, from the figures that housekeepers keep.

What ended since the figures were last added up is read row by row, as far as `MOST_UNCOUNTED`: so a task that has
just failed is seen at once, and a site that counts too late, or has no worker, sees its latest ends all the same.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connections
from django.utils.translation import gettext_lazy as _

from django_tasks import clock, conf
from django_tasks.models import TaskResult, TaskRollup
from django_tasks.models.ends import ALL_TASKS, Key, Span, figures_of
from django_tasks.models.figures import Figures

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MOST_UNCOUNTED = 2_000
DAY = dt.timedelta(hours=24)
#: The time for which it is told how fast a queue is.
LATELY = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A time up to now, as one looks back on it: so many spans."""

    key: str
    label: StrOrPromise
    span: Span
    number: int

    @property
    def step(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.span.value)

    def starts(self, now: dt.datetime) -> list[dt.datetime]:
        """When each of its spans begins; the last one is still under way."""
        last = self.span.start(now)
        return [last - self.step * back for back in reversed(range(self.number))]

    def elapsed(self, now: dt.datetime) -> float:
        """How much of it has passed, up to 1: of its last span maybe little."""
        return (now - self.starts(now)[0]) / (self.step * self.number)


HOUR = Period(key="1h", label=_("1 hour"), span=Span.MINUTE, number=60)
PERIODS = (
    HOUR,
    Period(key="24h", label=_("24 hours"), span=Span.HOUR, number=24),
    Period(key="7d", label=_("7 days"), span=Span.HOUR, number=168),
)


def period(key: str, periods: Sequence[Period] = PERIODS) -> Period:
    """The one of this key, or the first."""
    return next((found for found in periods if found.key == key), periods[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What ended, of all tasks together, or of those of one queue."""

    period: Period
    #: The beginning of each span of the period, and what ended in it.
    spans: Sequence[tuple[dt.datetime, Figures]]
    #: What ended in the last 24 hours: all of it,
    last_day: Figures
    #: and how many tasks of each queue in each hour.
    hours_of: Mapping[str, Sequence[int]]
    #: Tasks of each queue that ended in the last five minutes.
    lately: Mapping[str, int]
    #: Is more missing than is read row by row? Then the figures are behind.
    is_behind: bool

    @property
    def total(self) -> Figures:
        return Figures.sum(figures for _, figures in self.spans)

    def ended_per_minute(self, queue: str) -> float:
        return self.lately.get(queue, 0) / (LATELY / dt.timedelta(minutes=1))


def course(period: Period = HOUR, queue: str | None = None) -> Course:
    """Two statements. With a queue, of this one alone."""
    alias = conf.current().DATABASE
    now = clock.database_now(connections[alias])
    uncounted = TaskResult.objects.using(alias).uncounted(MOST_UNCOUNTED)
    rows = TaskRollup.objects.using(alias).looking_back(now, period.span, period.starts(now)[0])
    rolled = _added(rows if queue is None else rows.filter(queue=queue))
    for key, figures in figures_of(uncounted, now).items():
        if key.task == ALL_TASKS and queue in (None, key.queue):
            rolled[key].add(figures)
    return Course(
        period=period,
        spans=_spans(rolled, period, now),
        last_day=_last_day(rolled, now),
        hours_of=_hours(rolled, now),
        lately=_lately(rolled, now),
        is_behind=len(uncounted) == MOST_UNCOUNTED,
    )


def _added(rows: Iterable[TaskRollup]) -> defaultdict[Key, Figures]:
    found: defaultdict[Key, Figures] = defaultdict(Figures)
    for row in rows:
        key = row.key
        found[key._replace(starts_at=clock.from_storage(key.starts_at))].add(row.figures)
    return found


def _spans(
    rolled: Mapping[Key, Figures], period: Period, now: dt.datetime
) -> list[tuple[dt.datetime, Figures]]:
    sums: defaultdict[dt.datetime, Figures] = defaultdict(Figures)
    for key, figures in rolled.items():
        if key.span == period.span:
            sums[key.starts_at].add(figures)
    return [(start, sums[start]) for start in period.starts(now)]


def _last_day(rolled: Mapping[Key, Figures], now: dt.datetime) -> Figures:
    """To the minute: whole hours, and the minutes before the first of them."""
    since = now - DAY
    first_hour = Span.HOUR.start(since) + dt.timedelta(hours=1)
    return Figures.sum(
        figures
        for key, figures in rolled.items()
        if (key.span == Span.HOUR and key.starts_at >= first_hour)
        or (key.span == Span.MINUTE and Span.MINUTE.start(since) <= key.starts_at < first_hour)
    )


def _hours(rolled: Mapping[Key, Figures], now: dt.datetime) -> dict[str, list[int]]:
    last = Span.HOUR.start(now)
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0] * 24)
    for key, figures in rolled.items():
        back = (last - key.starts_at) // dt.timedelta(hours=1)
        if key.span == Span.HOUR and 0 <= back < 24:
            found[key.queue][23 - back] += figures.ended
    return dict(found)


def _lately(rolled: Mapping[Key, Figures], now: dt.datetime) -> dict[str, int]:
    since = now - LATELY
    found: defaultdict[str, int] = defaultdict(int)
    for key, figures in rolled.items():
        if key.span == Span.MINUTE and key.starts_at >= since:
            found[key.queue] += figures.ended
    return dict(found)
