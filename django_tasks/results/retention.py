"""How long results are kept: `RESULT_EXPIRES`."""

from __future__ import annotations

import datetime as dt

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import TaskGroup, TaskResult
from django_tasks.service import readable

#: Rows deleted at a time, so that nobody waits long for a lock.
BATCH = 500
#: Seconds; a longer time is as good as for ever, and can be reckoned with.
LONGEST = 100 * 365 * 86_400.0
#: Seconds between two batches, for others to get their turn.
PAUSE = 0.05


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
    return rows.prune(clock.to_storage(before), BATCH) or groups.prune(clock.to_storage(before), BATCH)


def prune_all() -> int:
    """Delete all rows that ended too long ago, batch by batch, and say how many these were."""
    deleted = 0
    while batch := prune():
        deleted += batch
        if batch == BATCH:
            readable([], PAUSE)
    return deleted
