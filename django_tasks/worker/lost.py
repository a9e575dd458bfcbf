"""What a broker lost is sent again.

A queue was purged, a Redis was flushed, a producer died between writing the row and publishing: the row waits, and
nothing will ever come of it. If it should have been claimed by now and its queue is empty, or what was sent later is
being run, its message is made from the row once more. Should that be wrong, and there be two messages: the first one
claims the row.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from django.db import connections, transaction

from django_tasks import clock, conf, registry
from django_tasks.brokers.handler import broker
from django_tasks.execution.settlement import posting_of_row
from django_tasks.models import TaskResult
from django_tasks.models.batches import MOST_ROWS

logger = logging.getLogger("django_tasks.worker")


def send_again(queues: Sequence[str]) -> int:
    """Of the queues that this worker serves; how many tasks these were."""
    now = clock.to_storage(clock.database_now(connections[conf.current().DATABASE]))
    return sum(_send_again(queue, now) for queue in queues)


def _send_again(queue: str, now: dt.datetime) -> int:
    rows = TaskResult.objects.using(conf.current().DATABASE)
    missing = rows.overdue(queue, now)
    if not missing.exists():
        return 0
    if not broker().is_empty([queue]):
        missing = missing.overtaken(queue)
    with transaction.atomic(using=rows.db):
        lost = missing.locked(MOST_ROWS)
        rows.await_again(lost, now)
        # A task of another program is for its workers to run, and they do not tell us that they did.
        ours = [row for row in lost if row.task in registry.tasks]
        broker().publish([posting_of_row(row) for row in ours])
    if ours:
        logger.warning("%d tasks of queue %s wait and are not in it: they are sent again", len(ours), queue)
    return len(ours)
