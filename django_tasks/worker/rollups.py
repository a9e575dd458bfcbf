"""Counting what ended, apart from settling it: pages read figures, and no task waits for them to be written.

One housekeeper of all counts at a time. It reads the rows that ended after a stored mark, in the order in which they
did, and moves the mark in the transaction that adds the figures: each row is counted once, whoever is killed.

The hazard: `finished_at` is said by the clock of the machine that ran the task, and its row can be read only after it
is committed. A row that appears behind the mark is never counted. So the mark stays `LATE` behind the present, and
after the database was away it stands still that long, as outcomes that were kept meanwhile are written then. What
comes later still, because a machine's clock is off by more or it alone was cut off, is missing in the figures; its
row is there. Tasks that are not tracked (`ignore_result=True`) have no row and are not counted at all.
"""

from __future__ import annotations

import datetime as dt

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import RollupMark, TaskResult, TaskRollup
from django_tasks.models.ends import figures_of
from django_tasks.models.rollup import count

#: How often, in seconds, it is asked whether anything ended.
INTERVAL = 10.0
#: Seconds in which the row of whatever ended can be seen, by all clocks.
LATE = 20.0
#: Rows counted in one transaction.
BATCH = 5000
#: Seconds between two batches, for others to get their turn.
PAUSE = 0.05
#: How often, in seconds, old figures are deleted.
PRUNING_INTERVAL = 3600.0


class Rollups:
    """What the housekeeper's loop turns."""

    def __init__(self) -> None:
        #: Where the mark was when it was last read: it only moves forward.
        self.counted_until: dt.datetime | None = None
        self.is_unbroken = True
        self.resumes = self.prunes = clock.monotonic()

    def turn(self) -> float | None:
        """Count a batch; the next one soon if there is more."""
        was_unbroken, self.is_unbroken = self.is_unbroken, False
        if not was_unbroken:
            self.resumes = clock.monotonic() + LATE
        more = clock.monotonic() >= self.resumes and self.count()
        if clock.monotonic() >= self.prunes:
            TaskRollup.objects.using(self.alias).prune(self.now())
            self.prunes = clock.monotonic() + PRUNING_INTERVAL
        self.is_unbroken = True
        return PAUSE if more else None

    def count(self) -> bool:
        """Is there more than a batch?"""
        now = self.now()
        until = clock.to_storage(now - dt.timedelta(seconds=LATE))
        ended = TaskResult.objects.using(self.alias)
        if not ended.ended_within(self.counted_until, until).exists():
            return False
        mark = RollupMark.objects.using(self.alias).read()
        if self.leaves_to_another(mark, now):
            return False
        ends = ended.next_ends(mark.counted_until, until, BATCH)
        if not ends:
            return False
        counted = count(figures_of(ends, now), mark, ends[-1].finished_at, clock.to_storage(now), self.alias)
        if counted:
            self.counted_until = ends[-1].finished_at
        return counted and len(ends) >= BATCH

    def leaves_to_another(self, mark: RollupMark, now: dt.datetime) -> bool:
        """Another housekeeper is about it: both would read the same rows, and one of them for nothing."""
        is_mine, self.counted_until = mark.counted_until == self.counted_until, mark.counted_until
        return not is_mine and mark.is_moved_since(clock.to_storage(now - dt.timedelta(seconds=INTERVAL)))

    @property
    def alias(self) -> str:
        return conf.current().DATABASE

    def now(self) -> dt.datetime:
        return clock.database_now(connections[self.alias])
