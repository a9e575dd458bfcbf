"""Ends of tasks, and what they add to the figures of their minute, hour and day."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasks import clock

from .figures import Figures

#: Stands for all tasks together, in place of one's name.
ALL_TASKS = ""
#: Of what a count since ever began with.
EVER_SINCE = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Span(models.IntegerChoices):
    """How much time one row of figures is about, in seconds; all of it, of those that only grow."""

    EVER = 0, _("since ever")
    MINUTE = 60, _("a minute")
    HOUR = 3600, _("an hour")
    DAY = 86400, _("a day")

    def start(self, moment: dt.datetime) -> dt.datetime:
        """When the span that this moment is in began. Days are UTC's, as they have no DST."""
        if self is Span.EVER:
            return EVER_SINCE
        seconds = int(moment.timestamp())
        return dt.datetime.fromtimestamp(seconds - seconds % self.value, dt.UTC)


#: How long figures are kept. Older ones are there in coarser spans.
KEPT = {
    Span.MINUTE: dt.timedelta(hours=48),
    Span.HOUR: dt.timedelta(days=35),
    Span.DAY: dt.timedelta(days=400),
}


class End(NamedTuple):
    """One task that ended, as its row has it."""

    task: str
    queue: str
    status: str
    retries: int
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime


class Key(NamedTuple):
    """What figures are about."""

    span: Span
    starts_at: dt.datetime
    task: str
    queue: str


def figures_of(ends: Iterable[End], now: dt.datetime) -> dict[Key, Figures]:
    """What these add to which figures. Where there are many ends in a minute, that minute costs most."""
    minutes: defaultdict[tuple[dt.datetime, str, str], Figures] = defaultdict(Figures)
    for end in ends:
        minute = clock.from_storage(end.finished_at).replace(second=0, microsecond=0)
        minutes[minute, end.task, end.queue].count(*end[2:])
    found: defaultdict[Key, Figures] = defaultdict(Figures)
    for (minute, task, queue), figures in minutes.items():
        for span in Span:
            start = span.start(minute)
            if span in KEPT and start < now - KEPT[span]:
                continue  # it would be deleted at once
            found[Key(span, start, task, queue)].add(figures)
            found[Key(span, start, ALL_TASKS, queue)].add(figures)
    return dict(found)
