"""Answers to programs that wait for them at a queue of their own, as Celery's do with the result backend `rpc://`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import kombu

from . import queues
from .declarations import VALID_NAME

_TRANSIENT = 1
#: Bytes of a short text in AMQP. A longer one would break the connection, for all that share it.
_LONGEST = 255
#: Celery's programs name their queue so. On Redis it may be any key, and somebody else's.
_OF_CELERY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: On Redis a queue is there as soon as something is in it, and nothing tells whether somebody reads it. So what is
#: never read has an end: seconds after the last answer, and answers that are waiting.
UNREAD_FOR = 3600
UNREAD = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One record, as JSON, and who waits for it."""

    to: str
    correlation_id: str
    record: str


def reply(channel: Any, replies: Sequence[Reply], *, is_redis: bool) -> None:
    """Publish them; what nobody waits for is dropped, at the latest after an hour."""
    ours = queues.declared()
    named = [one for one in replies if VALID_NAME.fullmatch(one.to) and one.to not in ours]
    wanted = [one for one in named if len(one.correlation_id.encode()) <= _LONGEST]
    if is_redis:
        wanted = _waited_for(channel, wanted)
    producer = kombu.Producer(channel)
    for one in wanted:
        producer.publish(
            one.record,
            exchange="",
            routing_key=one.to,
            correlation_id=one.correlation_id,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=_TRANSIENT,
        )
    if is_redis and wanted:
        _end_some_time(channel, wanted)


def _waited_for(channel: Any, replies: Sequence[Reply]) -> list[Reply]:
    named = [one for one in replies if _OF_CELERY.fullmatch(one.to)]
    with channel.conn_or_acquire() as client:
        full = {name for name in {one.to for one in named} if client.llen(name) >= UNREAD}
    return [one for one in named if one.to not in full]


def _end_some_time(channel: Any, replies: Sequence[Reply]) -> None:
    with channel.conn_or_acquire() as client:
        for name in {one.to for one in replies}:
            client.pexpire(name, UNREAD_FOR * 1000)
