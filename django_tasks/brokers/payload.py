"""A kombu message as the payload of a row, and back."""

from __future__ import annotations

import base64
import json
from typing import Any

from kombu.exceptions import ChannelError
from kombu.utils import json as kombu_json

from django_tasks import clock
from django_tasks.models import QueuedMessage

_LONGEST_QUEUE = 100
_STORED_TEXTS = ("content-type", "content-encoding")


def write_body(message: dict[str, Any]) -> None:
    """Text stays text, so that rows can be read by people; only what is no text is wrapped in base64.

    Compressed is no text, whatever its bytes look like: who undoes it expects bytes.
    """
    body, encoding = message["body"], None
    if isinstance(body, bytes):
        text = None if message["headers"].get("compression") else _as_text(body)
        body, encoding = (text, None) if text is not None else (base64.b64encode(body).decode(), "base64")
    message["body"] = body
    message["properties"]["body_encoding"] = encoding


def _as_text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def to_row(queue: str, message: dict[str, Any], *, priority: int) -> QueuedMessage:
    """The row of a message being published; the properties `sent_at` and `deliver_at` are columns of it."""
    if not 0 < len(queue) <= _LONGEST_QUEUE:
        raise ChannelError(
            f"django:// has no queue {queue[:120]!r}: use a name of 1 to {_LONGEST_QUEUE} characters."
        )
    # A copy: an exchange may put the same message into several queues.
    properties = {**message["properties"]}
    now = clock.now()
    sent_at = properties.pop("sent_at", None) or now
    due = clock.from_storage(properties.pop("deliver_at", None) or now)
    return QueuedMessage(
        queue=queue,
        priority=priority,
        state=QueuedMessage.State.PARKED if due > now else QueuedMessage.State.READY,
        sent_at=clock.to_storage(sent_at),
        deliver_at=clock.to_storage(due) if due > now else None,
        payload=kombu_json.dumps({**message, "properties": properties}),
    )


def from_row(row: QueuedMessage) -> dict[str, Any]:
    """The message of a row. Its delivery tag is the row's key.

    Raises `ValueError` for what is none: anybody with access to the table may have written it.
    """
    try:
        # Not with kombu's types: what they stand for is not ours to make, and it would not be written back as it was.
        message: dict[str, Any] = json.loads(row.payload)
        properties = _mapping(message, "properties")
        _mapping(message, "headers")
        _mapping(properties, "delivery_info")["redelivered"] = row.deliveries > 0
        for name in _STORED_TEXTS:
            if not isinstance(message.get(name), str | None):
                raise ValueError(f"{name} is not text")
        message["body"] = _body(message.get("body"), properties.pop("body_encoding", None))
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(repr(error)) from error
    properties["delivery_tag"] = row.id
    return message


def _mapping(outer: dict[str, Any], name: str) -> dict[str, Any]:
    found = outer.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"{name} is not a mapping")
    return found


def _body(written: object, encoding: object) -> str | bytes:
    if not isinstance(written, str):
        raise ValueError("body is not text")
    if encoding is None:
        return written
    if encoding != "base64":
        raise ValueError(f"body_encoding {encoding!r} is unknown")
    return base64.b64decode(written, validate=True)
