"""A posting, published by a kombu producer."""

from __future__ import annotations

import math
from typing import Any

import kombu

from django_tasks.message import compression

from .broker import Posting

#: Properties (AMQP 0-9-1, basic class) that go with a message wherever it is sent. Others are passed by name or belong
#: to one delivery, or (`user_id`) to who sent it first, and whatever else a stranger wrote there could be taken for an
#: argument of `publish`.
FORWARDED = frozenset(
    {"correlation_id", "reply_to", "delivery_mode", "message_id", "timestamp", "type", "app_id"}
)


def address(posting: Posting) -> tuple[str, str]:
    """Exchange and routing key: the default exchange delivers to the queue of that name."""
    return (posting.exchange, posting.routing_key) if posting.exchange else ("", posting.queue)


def publish(producer: kombu.Producer, posting: Posting, **more: Any) -> None:
    """`more`: further arguments of `kombu.Producer.publish`."""
    envelope = posting.envelope
    headers = dict(envelope.headers)
    if posting.mandatory:
        more["mandatory"] = True
    exchange, routing_key = address(posting)
    producer.publish(
        envelope.body,
        exchange=exchange,
        routing_key=routing_key,
        priority=posting.priority,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        # kombu writes the header again if it does.
        compression=compression.usable(headers.pop("compression", None)),
        headers=headers,
        expiration=_seconds(envelope.properties.get("expiration")),
        **{name: value for name, value in envelope.properties.items() if name in FORWARDED},
        **more,
    )


def _seconds(milliseconds: object) -> float | None:
    """The property `expiration` as kombu takes it. Nonsense is no limit: the header `expires` decides in the end."""
    try:
        seconds = float(str(milliseconds)) / 1000
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
