"""Changing when a waiting task runs, and where: its stored message is replaced by another one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import Max

from django_tasks import clock, conf
from django_tasks.brokers import payload, queues
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.message.protocol2 import encode
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.models.queue import QueuedMessageQuerySet
from django_tasks.models.result import awaited_from

from .reading import order_of
from .selection import BATCH, Selection

#: So few tasks are looked for in all of their queue, if they are not where they should be.
THOROUGH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be different: fields of the messages."""

    fields: Mapping[str, Any]


def rescheduled(due: dt.datetime | None) -> Wish:
    """To run at `due`, or as soon as can be."""
    return Wish(fields={"eta": due})


def moved(queue: str | None, priority: int | None) -> Wish:
    """To wait in another queue, or with another priority. Raises `UnknownQueue`."""
    fields: dict[str, Any] = {}
    if queue:
        fields |= {"queue": queues.check(queue), "exchange": "", "routing_key": ""}
    if priority is not None:
        fields["priority"] = priority
    return Wish(fields=fields)


def change(ids: Collection[str], wish: Wish) -> int:
    """Change these tasks, as far as they wait and their messages are stored; how many these were.

    Those whose message is with a broker elsewhere already cannot be called back, and are left alone.
    """
    rows = TaskResult.objects.using(conf.current().DATABASE).filter(id__in=list(ids)).waiting()
    found = {row.id: _key_of(row, is_thorough=len(ids) <= THOROUGH) for row in rows}
    return _change({id: key for id, key in found.items() if key is not None}, wish)


def change_all(selection: Selection, wish: Wish) -> Iterator[tuple[int, int]]:
    """Change all that were chosen, message by message: of each batch how many were chosen, and how many are changed.

    Not task by task: to find the message of each among all that wait would take the longer the more wait. What is
    written meanwhile comes behind the last, and is passed over.
    """
    messages, chosen = _messages().waiting(), selection.rows().order_by().waiting()
    last, end = 0, messages.aggregate(end=Max("id"))["end"] or 0
    while some := list(messages.filter(id__gt=last, id__lte=end).order_by("id")[:BATCH]):
        keys = {id: message.id for message in some if (id := payload.task_of(message, message.payload))}
        ids = list(chosen.filter(id__in=list(keys)).values_list("id", flat=True))
        yield len(ids), _change({id: keys[id] for id in ids}, wish)
        last = some[-1].id


def _messages() -> QueuedMessageQuerySet:
    return QueuedMessage.objects.using(broker().alias).free()


def _change(keys: Mapping[str, int], wish: Wish) -> int:
    """The tasks with these ids, whose messages have these keys, in one transaction.

    The messages are locked first and the rows then, as those do who take them from a queue.
    """
    if not keys:
        return 0
    rows = TaskResult.objects.using(conf.current().DATABASE)
    with transaction.atomic(using=broker().alias), transaction.atomic(using=rows.db):
        stored = {
            row.id: row
            for row in _messages().waiting().filter(id__in=sorted(keys.values())).lock_for_change()
        }
        waiting = rows.lock_waiting([id for id, key in keys.items() if key in stored])
        changed, postings = [], []
        for row in rows.filter(id__in=waiting):
            if posting := _rewritten(row, stored[keys[row.id]], wish):
                changed.append(row)
                postings.append(posting)
        if changed:
            rows.bulk_update(changed, ["message", "queue", "priority", "awaited_at"], batch_size=100)
            _messages().remove([keys[row.id] for row in changed])
            broker().publish(postings)
    return len(changed)


def _rewritten(row: TaskResult, stored: QueuedMessage, wish: Wish) -> Posting | None:
    """The row as it is to be, and its message in the place of the stored one; `None` of what may not be read."""
    before = order_of(row)
    if before is None:
        return None
    after = replace(before, queue=row.queue, priority=row.priority, retries=row.retries)
    after = replace(after, **wish.fields)
    envelope = encode(after)
    row.message, row.queue, row.priority = envelope.to_text(), after.queue, after.priority
    row.awaited_at = awaited_from(after.eta)
    return Posting(
        envelope=envelope,
        queue=after.queue,
        exchange=after.exchange,
        routing_key=after.routing_key,
        priority=after.priority,
        sent_at=stored.sent_at,
        deliver_at=after.eta,
    )


def _key_of(row: TaskResult, *, is_thorough: bool) -> int | None:
    """Of the message of a task, if it is stored."""
    for place in _places(row, is_thorough=is_thorough):
        for message in place.filter(payload__contains=row.id)[:THOROUGH]:
            if payload.task_of(message, message.payload) == row.id:
                return message.id
    return None


def _places(row: TaskResult, *, is_thorough: bool) -> Iterator[QueuedMessageQuerySet]:
    """Where it may be: first where an index leads."""
    order, messages = row.order(conf.current().ACCEPT_CONTENT), _messages()
    if order is not None and order.eta is not None:
        yield messages.parked_until(clock.to_storage(order.eta))
    yield messages.ready_since(row.queue, row.priority, row.created_at)
    if is_thorough:
        yield messages.waiting().filter(queue=row.queue)
