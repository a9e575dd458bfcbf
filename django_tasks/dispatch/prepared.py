"""A message that could be written down."""

from __future__ import annotations

from dataclasses import dataclass

from django_tasks.brokers.broker import Posting
from django_tasks.message.message import Envelope, TaskMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is left to do cannot fail for what it holds."""

    message: TaskMessage
    envelope: Envelope

    def posting(self) -> Posting:
        message = self.message
        return Posting(
            envelope=self.envelope,
            queue=message.queue,
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=message.mandatory,
            priority=message.priority,
            deliver_at=message.eta,
        )
