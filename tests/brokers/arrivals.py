"""Messages that a test sends, and what of them arrives at a receiver."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django_tasks.brokers.broker import Delivery, Posting, Receiver
from django_tasks.brokers.handler import broker
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from tests.workers import eventually

#: Opens a receiver of an owner for some queues.
Open = Callable[..., Receiver]


def message(id: str, **fields: Any) -> Posting:
    sent = TaskMessage(id=id, task="t", args=(id,), queue="default", **fields)
    return Posting(envelope=encode(sent), queue="default", priority=sent.priority, deliver_at=sent.eta)


def post(*ids: str) -> None:
    broker().publish([message(id) for id in ids])


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [str(delivery.envelope.headers["id"]) for delivery in deliveries]


@contextlib.contextmanager
def some(receiver: Receiver, limit: int = 10) -> Iterator[list[Delivery]]:
    """A batch that is not empty: what is under way takes a moment to arrive."""
    while True:
        with receiver.receive(limit) as deliveries:
            if deliveries:
                yield deliveries
                return


def all_of(receiver: Receiver, many: int) -> list[str]:
    """So many messages, settled."""
    found: list[str] = []

    def fetched() -> bool:
        with receiver.receive(many - len(found)) as deliveries:
            receiver.settle(deliveries)
            found.extend(ids(deliveries))
        return len(found) >= many

    eventually(fetched, f"{many} messages")
    return found
