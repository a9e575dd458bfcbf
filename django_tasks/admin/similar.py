"""How long a task runs otherwise: the last runs of its name up to it, as bars, with its own marked at the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from django.utils.translation import gettext as _

from django_tasks import clock
from django_tasks.models import TaskResult
from django_tasks.models.result import TaskResultQuerySet

from . import badges, charts, courses, times
from .timeline import ENDINGS

#: Bars; and rows that are looked at for them, as some did not run: however many wait, no more are read.
SHOWN, LOOKED_AT = 20, 60
#: What took no time at all has a bar nevertheless.
LEAST = dt.timedelta(microseconds=1)


class Run(NamedTuple):
    """What is read of a row, and no more: arguments, results and tracebacks may be large."""

    id: str
    status: str
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None

    @property
    def has_run(self) -> bool:
        return self.started_at is not None and self.finished_at is not None

    @property
    def span(self) -> dt.timedelta:
        if self.started_at is None or self.finished_at is None:
            return LEAST
        return max(self.finished_at - self.started_at, LEAST)


def runs(row: TaskResult, rows: TaskResultQuerySet) -> list[Run]:
    """The last ones up to this task, the oldest first. One query, in the order of an index."""
    before = rows.sent_until(row.task, row.created_at)
    found = [Run(*values) for values in before.values_list(*Run._fields)[:LOOKED_AT]]
    others = [run for run in found if run.id != row.id and run.has_run]
    own = _own(row)
    if not own.has_run:
        return others[:SHOWN][::-1]
    return [*others[: SHOWN - 1][::-1], own]


def chart(row: TaskResult, several: Sequence[Run]) -> courses.Chart | None:
    """Nothing, where there is nothing to compare with."""
    others = [run.span for run in several if run.id != row.id]
    if not others:
        return None
    is_last = several[-1].id == row.id
    told = _("The median of the %(count)d before it is %(span)s.") % {
        "count": len(others),
        "span": times.span(dt.timedelta(seconds=median(span.total_seconds() for span in others))),
    }
    drawing = charts.bars(
        [_bar(run, is_own=run.id == row.id) for run in several],
        title=_("Run times of the last tasks of this name, up to this one"),
        description=told,
    )
    return courses.Chart(
        drawing=drawing,
        first=times.stamp(several[0].created_at),
        last=_("this one: %s") % times.span(several[-1].span)
        if is_last
        else times.stamp(several[-1].created_at),
        most=times.span(max(run.span for run in several)),
        told=told,
    )


def _own(row: TaskResult) -> Run:
    """Of a task that somebody is running: until now."""
    until = row.finished_at
    if until is None and row.claimed_by is not None:
        until = clock.to_storage(clock.now())
    return Run(row.id, row.status, row.created_at, row.started_at, until)


def _bar(run: Run, *, is_own: bool) -> charts.Bar:
    told = [times.span(run.span), str(badges.label_of(run.status)), times.stamp(run.created_at)]
    if is_own:
        told.insert(0, _("this one"))
    part = (ENDINGS.get(run.status, "busy"), run.span.total_seconds())
    return charts.Bar(label=" · ".join(told), parts=(part,), is_marked=is_own)
