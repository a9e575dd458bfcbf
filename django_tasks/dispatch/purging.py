"""Purging: a queue's messages are thrown away, and their tasks end, so that nobody waits for them for ever."""

from __future__ import annotations

import math
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Max

from django_tasks import conf
from django_tasks.brokers import payload
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.models.batches import slices
from django_tasks.models.queue import QueuedMessageQuerySet, StoredMessage
from django_tasks.results.handler import results

#: Messages thrown away in one transaction.
BATCH = 100
#: What the tasks' exception says.
WHY = "purged"
WHY_DISCARDED = "discarded, after it was set aside"


def purge(queue: str, most: float = math.inf) -> int:
    """Empty a queue of what is ready; how many messages these were. Parked ones stay.

    So does what is sent because these tasks ended, such as the error callbacks of a chord. At about `most` messages it
    stops, if the broker lets it: one of its own empties a queue at once.
    """
    return _purge_embedded(queue, most) if broker().is_embedded else _purge_remote(queue)


def discard(keys: Iterable[int]) -> int:
    """Throw away those of these messages that are set aside, and end their tasks; how many messages these were."""
    discarded = 0
    for some in slices(sorted(keys)):
        with transaction.atomic(using=_rows().db):
            found = _rows().aside().filter(id__in=some).lock_for_change()
            results().revoke_many(_ids((row, row.payload) for row in found), why=WHY_DISCARDED)
            _rows().remove([row.id for row in found])
        discarded += len(found)
    return discarded


def _rows() -> QueuedMessageQuerySet:
    return QueuedMessage.objects.using(broker().alias)


def _purge_embedded(queue: str, most: float) -> int:
    """Batch by batch, each task ending in the transaction that its message goes in."""
    last = _rows().aggregate(last=Max("id"))["last"] or 0
    rows, purged = _rows(), 0
    while purged < most:
        with transaction.atomic(using=rows.db):
            batch = rows.lock_next(queue, BATCH, payload.longest(), last=last)
            results().revoke_many(_ids((row, row.text) for row in batch), why=WHY)
            rows.remove([row.id for row in batch])
        if not batch:
            return purged
        purged += len(batch)
    return purged


def _purge_remote(queue: str) -> int:
    """Those that wait now are noted, and end when their messages are gone: what follows from that goes to a queue,
    perhaps to this one. Cut short between the two, the tasks look as if the broker had lost them, and are sent again.
    """
    rows = TaskResult.objects.using(conf.current().DATABASE).waiting().filter(queue=queue)
    stored = _rows().filter(queue=queue).exclude(state=QueuedMessage.State.ASIDE)
    kept: set[str] = set()
    for keys in slices(list(stored.values_list("id", flat=True)), BATCH):
        kept.update(_ids((row, row.payload) for row in _rows().filter(id__in=keys)))
    waiting = [id for id in rows.values_list("id", flat=True) if id not in kept]
    purged = broker().purge(queue)
    for some in slices(waiting):
        results().revoke_many(some, why=WHY)
    return purged


def _ids(rows: Iterable[tuple[QueuedMessage | StoredMessage, str | None]]) -> list[str]:
    """The tasks of these messages; of what is none or too long to be read, nothing."""
    return [id for row, text in rows if (id := payload.task_of(row, text))]
