"""How long results are kept: `RESULT_EXPIRES`."""

from __future__ import annotations

import datetime as dt

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import (
    FailureGroup,
    FailureHour,
    QueuePause,
    RollupMark,
    TaskGroup,
    TaskResult,
    Worker,
    WorkerCommand,
)
from django_tasks.models.failure import HOURS_KEPT, KEPT
from django_tasks.service import readable

#: Rows deleted at a time, so that nobody waits long for a lock.
BATCH = 500
#: Seconds; a longer time is as good as for ever, and can be reckoned with.
LONGEST = 100 * 365 * 86_400.0
#: Seconds between two batches, for others to get their turn.
PAUSE = 0.05
#: Seconds that an expired result is kept at most until it is counted. Of what is kept for less than ten times as long
#: a tenth of that time: nobody who wants results gone within seconds waits for figures.
UNCOUNTED_KEPT = 3600.0
#: Seconds that commands to workers are kept: much longer than anybody waits for an answer.
COMMANDS_KEPT = 3600.0
#: So long the pages tell of a worker that was lost, and of how many tasks were recovered from it.
LOST_WORKERS_KEPT = dt.timedelta(hours=24)


def seconds() -> float | None:
    """How long results are kept; `None` is for ever."""
    span = conf.current().RESULT_EXPIRES
    if isinstance(span, dt.timedelta):
        span = span.total_seconds()
    return min(span, LONGEST) if span else None


def prune() -> int:
    """Delete a batch of what ended too long ago, tasks before groups, and say how many rows these were.

    Where there are none, it costs a look at two indexes.
    """
    kept = seconds()
    if kept is None:
        return 0
    rows = TaskResult.objects.using(conf.current().DATABASE)
    before = clock.database_now(connections[rows.db]) - dt.timedelta(seconds=kept)
    groups = TaskGroup.objects.using(rows.db)
    counted = _counted(before, dt.timedelta(seconds=min(UNCOUNTED_KEPT, kept / 10)), rows.db)
    return rows.prune(clock.to_storage(counted), BATCH) or groups.prune(clock.to_storage(before), BATCH)


def _counted(before: dt.datetime, patience: dt.timedelta, alias: str) -> dt.datetime:
    """Not what is still to be counted (worker/rollups.py), unless the counting does not get on."""
    until = RollupMark.objects.using(alias).read().counted_until
    if until is None:
        return before - patience
    just_after = clock.from_storage(until) + dt.timedelta(microseconds=1)
    return min(before, max(just_after, before - patience))


def prune_all() -> int:
    """Delete all rows that ended too long ago, batch by batch, and say how many these were."""
    deleted = 0
    while batch := prune():
        deleted += batch
        if batch == BATCH:
            readable([], PAUSE)
    return deleted


def prune_commands() -> int:
    """Delete a batch of the commands that were given to workers long ago, and say how many these were."""
    commands = WorkerCommand.objects.using(conf.current().DATABASE)
    before = clock.now() - dt.timedelta(seconds=COMMANDS_KEPT)
    return commands.prune(clock.to_storage(before), BATCH)


def prune_workers() -> int:
    """Delete a batch of the workers that were lost long ago, and say how many these were."""
    workers = Worker.objects.using(conf.current().DATABASE)
    before = clock.database_now(connections[workers.db]) - LOST_WORKERS_KEPT
    return workers.prune(clock.to_storage(before), BATCH)


def prune_pauses() -> int:
    """Forget the pauses of queues that are over, and say how many these were."""
    pauses = QueuePause.objects.using(conf.current().DATABASE)
    return pauses.prune(clock.to_storage(clock.database_now(connections[pauses.db])))


def prune_failures() -> int:
    """Delete a batch of what was counted of failures long ago, and say how many rows these were."""
    alias, now = conf.current().DATABASE, clock.now()
    hours = FailureHour.objects.using(alias).prune(clock.to_storage(now - HOURS_KEPT), BATCH)
    return hours + FailureGroup.objects.using(alias).prune(clock.to_storage(now - KEPT), BATCH)
