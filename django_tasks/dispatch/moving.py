"""Moving: what waits in a queue waits in another one, with its tasks."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

from django.db import transaction

from django_tasks import conf
from django_tasks.brokers import payload, queues
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskResult

#: Messages moved in one transaction.
BATCH = 100


def move(queue: str, to: str, most: float = math.inf) -> int:
    """Have what is ready or due later in a queue wait in another; how many messages these were.

    Urgency and age go with them. It stops at about `most`. Where a broker of its own has the messages they are taken
    from it one by one, and put behind what is there. Raises `UnknownQueue`, `OperationalError`, and `ValueError` for
    a queue that is to be moved to itself.
    """
    queues.check(to)
    if queue == to:
        raise ValueError(f"Queue {queue!r} cannot be moved to itself. Name another one.")
    moved = 0
    for step in (_move_ready, _move_parked):
        while moved < most and (number := step(queue, to)):
            moved += number
    return moved


def _move_ready(queue: str, to: str) -> int:
    together = transaction.atomic(using=broker().alias) if broker().is_embedded else contextlib.nullcontext()
    with together:
        ids = broker().move(queue, to, BATCH)
        _rehouse_tasks(ids, to)
    return len(ids)


def _move_parked(queue: str, to: str) -> int:
    """These are stored beside the tasks, whatever the broker."""
    rows = QueuedMessage.objects.using(broker().alias)
    with transaction.atomic(using=rows.db):
        found = rows.lock_parked(queue, BATCH, payload.longest())
        rows.rehouse([row.id for row in found], to)
        _rehouse_tasks((payload.task_of(row, row.text) for row in found), to)
    return len(found)


def _rehouse_tasks(ids: Iterable[str], to: str) -> None:
    known = [id for id in ids if id]
    if known:
        TaskResult.objects.using(conf.current().DATABASE).rehouse(known, to)
