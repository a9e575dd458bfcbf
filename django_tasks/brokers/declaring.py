"""Queues, made known to a broker of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kombu

from . import queues
from .broker import Posting
from .publishing import address


def declare(channel: Any, queue: str) -> None:
    """As Celery declares it, with its exchange and bindings."""
    _declaration(channel, queue)(channel).declare()


def _declaration(channel: Any, queue: str) -> kombu.Queue:
    plain = kombu.Queue(queue, exchange=kombu.Exchange(queue, type="direct"), routing_key=queue)
    if queue not in queues.declared():  # what was stored for a queue that there was once
        return plain
    found = queues.find(queue)
    # kombu takes such a queue for somebody who listens: nobody could send to it by its name.
    is_fleeting = not has_exchanges(channel) and any(way.type == "fanout" for way in found.bindings)
    return plain if is_fleeting else found.to_kombu()


def has_exchanges(channel: Any) -> bool:
    """Does the broker itself route? For others (Redis, SQS) kombu does, and not all of it."""
    return hasattr(channel, "confirm_select")


def to_queues(posting: Posting) -> list[Posting]:
    """The same to each queue that its exchange has for it."""
    if not posting.exchange:
        return [posting]
    reached = queues.reached(posting.exchange, posting.routing_key) or (posting.queue,)
    return [replace(posting, queue=queue, exchange="", routing_key="") for queue in reached]


def declare_for(channel: Any, posting: Posting, *, anew: bool = False) -> None:
    """All queues that a posting reaches, each address once in the life of a channel, or `anew`."""
    known: set[tuple[str, str]] = vars(channel).setdefault("django_tasks_declared", set())
    where = address(posting)
    if where in known and not anew:
        return
    for queue in queues.reached(*where) if posting.exchange else (posting.queue,):
        declare(channel, queue)
    known.add(where)
