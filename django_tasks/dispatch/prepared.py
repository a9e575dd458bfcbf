"""A message that could be written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django_tasks.brokers.broker import Posting
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.task_id import is_generated


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


def are_known_by_rows(prepared: Sequence[Prepared]) -> bool:
    """Has each a row, under an id that nobody else has? Then these tell whether they were sent."""
    return all(not sent.message.ignore_result and is_generated(sent.message.id) for sent in prepared)
