"""A kombu message as the payload of a row, and back; and what is kept of one that is set aside."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kombu.exceptions import ChannelError

from django_tasks import clock, conf
from django_tasks.message.message import Envelope, size_of
from django_tasks.message.saferepr import saferepr, storable
from django_tasks.message.serialization import write_json
from django_tasks.models import QueuedMessage, inserting
from django_tasks.models.batches import fits
from django_tasks.models.queue import CUT

from .broker import Delivery, Posting
from .declarations import NAMING, VALID_NAME
from .publishing import FORWARDED

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from django_tasks.models.queue import StoredMessage

#: What is kept of each end of a message that is too large to be kept whole, in characters.
KEPT = 20_000
#: The longest body that is kept as a text to be read.
_MOST_TEXT = 1_000_000
_LONGEST_QUEUE = 100
_STORED_TEXTS = ("content-type", "content-encoding")
#: Those that kombu leaves as they are.
PRIORITIES = range(10)


def write_body(message: dict[str, Any]) -> None:
    """Text stays text, so that rows can be read by people; only what is no text is wrapped in base64.

    Compressed is no text, whatever its bytes look like: who undoes it expects bytes.
    """
    _write_body(message, as_text=not message["headers"].get("compression"))


def _write_body(message: dict[str, Any], *, as_text: bool) -> None:
    body, encoding = message["body"], None
    if isinstance(body, bytes):
        text = _as_text(body) if as_text else None
        body, encoding = (text, None) if text is not None else (base64.b64encode(body).decode(), "base64")
    message["body"] = body
    message["properties"]["body_encoding"] = encoding


def _as_text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def to_row(queue: str, message: dict[str, Any], *, priority: int) -> QueuedMessage:
    """The row of a message being published; the properties `sent_at`, `deliver_at` and `keeper` are columns of it."""
    if not VALID_NAME.fullmatch(queue):
        raise _no_queue(queue)
    # A copy: an exchange may put the same message into several queues.
    properties = {**message["properties"]}
    columns = {
        name: properties.pop(name) for name in ("sent_at", "deliver_at", "keeper") if name in properties
    }
    return _row(queue, {**message, "properties": properties}, priority=priority, **columns)


def _row(
    queue: str,
    message: Mapping[str, Any],
    *,
    priority: int,
    sent_at: dt.datetime | None = None,
    deliver_at: dt.datetime | None = None,
    keeper: str = "",
) -> QueuedMessage:
    now = clock.now()
    due = now if deliver_at is None else clock.from_storage(deliver_at)
    return inserting.new(
        QueuedMessage,
        queue=queue,
        priority=priority,
        state=QueuedMessage.State.PARKED if due > now else QueuedMessage.State.READY,
        sent_at=clock.to_storage(sent_at or now),
        deliver_at=clock.to_storage(due) if due > now else None,
        claimed_by=keeper,
        payload=write_json(message),
    )


def is_plain(posting: Posting) -> bool:
    """Would kombu only pass it on: a text to a queue, not to be compressed, without an end of its own?"""
    envelope = posting.envelope
    return (
        not (posting.exchange or posting.mandatory or posting.priority not in PRIORITIES)
        and isinstance(envelope.body, str)
        and bool(envelope.content_type)
        and envelope.content_encoding == "utf-8"
        and "compression" not in envelope.headers
        and "expiration" not in envelope.properties
    )


def row_of(posting: Posting, keeper: str = "") -> QueuedMessage:
    """The row of a plain posting: what comes of it when kombu publishes it, which takes several times as long."""
    envelope = posting.envelope
    if not VALID_NAME.fullmatch(posting.queue):
        raise _no_queue(posting.queue)
    message = {
        "body": envelope.body,
        "content-encoding": envelope.content_encoding,
        "content-type": envelope.content_type,
        "headers": envelope.headers,
        "properties": {
            **{name: value for name, value in envelope.properties.items() if name in FORWARDED},
            "delivery_info": {"exchange": "", "routing_key": posting.queue},
            "priority": posting.priority,
            "body_encoding": None,
        },
    }
    times = {"sent_at": posting.sent_at, "deliver_at": posting.deliver_at}
    return _row(posting.queue, message, priority=posting.priority, keeper=keeper, **times)


def _no_queue(name: str) -> ChannelError:
    return ChannelError(f"django:// has no queue {name[:120]!r}: {NAMING}.")


def from_row(row: QueuedMessage | StoredMessage, text: str) -> dict[str, Any]:
    """The message of a row, of which `text` is the payload. Its delivery tag is the row's key.

    Raises `ValueError` for what is none: anybody with access to the table may have written it.
    """
    try:
        # Not with kombu's types: what they stand for is not ours to make, and it would not be written back as it was.
        message: dict[str, Any] = json.loads(text)
        properties = _mapping(message, "properties")
        _mapping(message, "headers")
        _mapping(properties, "delivery_info").update(queue=row.queue, redelivered=row.deliveries > 0)
        for name in _STORED_TEXTS:
            if not isinstance(message.get(name), str | None):
                raise ValueError(f"{name} is not text")
        # The routing key is what a stranger may have chosen.
        properties["delivery_info"]["queue"] = row.queue
        message["body"] = _body(message.get("body"), properties.pop("body_encoding", None))
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(repr(error)) from error
    properties["delivery_tag"] = row.id
    return message


def task_of(row: QueuedMessage | StoredMessage, text: str | None) -> str:
    """The id of the task that a stored message orders; nothing if there can be none, or it is too long to be read."""
    try:
        id = from_row(row, text or "")["headers"].get("id")
    except ValueError:
        return ""
    return id if isinstance(id, str) and id == storable(id) else ""


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


# -- what is set aside


def longest() -> int:
    """No message that may be read has a longer payload; in letters, as text beyond ASCII is written in six for two."""
    return 3 * conf.current().MESSAGE_MAX_BYTES


def aside_row(delivery: Delivery, reason: str, connection: BaseDatabaseWrapper) -> QueuedMessage:
    """The row for a message that a broker elsewhere has delivered, and that is set aside in this database.

    What is too large is cut, and the reason says so.
    """
    text = aside_text(delivery)
    if not fits(text, connection):
        text = cut(text[:KEPT], text[-KEPT:], len(text))
    return QueuedMessage(
        queue=storable(delivery.queue)[:_LONGEST_QUEUE],
        state=QueuedMessage.State.ASIDE,
        sent_at=clock.to_storage(clock.now()),
        reason=aside_reason(reason, is_whole=not text.startswith(CUT)),
        payload=text,
    )


def aside_reason(reason: str, *, is_whole: bool) -> str:
    if is_whole:
        return storable(reason)[:1000]
    return f"{storable(reason)[:800]} Only its two ends were kept, so it cannot be replayed."


def aside_text(delivery: Delivery) -> str:
    """The payload of such a row: as `django://` would have it, to be offered again; or of a long one its ends."""
    envelope = delivery.envelope
    most = conf.current().MESSAGE_MAX_BYTES
    size = size_of(envelope.body, most)
    if size > most:
        part = Envelope(
            headers=envelope.headers,
            body=envelope.body[:KEPT],
            content_type=envelope.content_type,
            content_encoding=envelope.content_encoding,
            properties=envelope.properties,
        )
        text = _aside_text(part, delivery)
        end = text[-KEPT:] if envelope.headers else _shown(envelope.body[-KEPT:])
        return cut(text[:KEPT], end, size)
    text = _aside_text(envelope, delivery)
    return text if len(text) <= longest() else cut(text[:KEPT], text[-KEPT:], len(text))


def _shown(body: str | bytes) -> str:
    return body.decode(errors="backslashreplace") if isinstance(body, bytes) else body


def _aside_text(envelope: Envelope, delivery: Delivery) -> str:
    headers = dict(envelope.headers)
    if delivery.refusal is None:
        headers.pop("compression", None)  # its body is unpacked, and stays so
    message = {
        "body": envelope.body,
        "content-encoding": envelope.content_encoding,
        "content-type": envelope.content_type,
        "headers": headers,
        "properties": {
            **envelope.properties,
            "delivery_info": {"exchange": "", "routing_key": delivery.queue},
        },
    }
    # Of base64 the length is known, however many characters of the text would need an escape.
    _write_body(message, as_text=not headers.get("compression") and len(envelope.body) <= _MOST_TEXT)
    return _as_json(message)


def _as_json(message: dict[str, Any]) -> str:
    """Refused headers may be anything; so that something is kept, they are then kept as what they look like."""
    try:
        return write_json(message)
    except (TypeError, ValueError, RecursionError):
        shown = {"headers": {"as it came": saferepr(message["headers"])}, "properties": {"delivery_info": {}}}
        return json.dumps({**message, **shown}, default=saferepr)


def cut(beginning: str, end: str, size: int) -> str:
    """The payload of a row of which only the ends were kept."""
    return f"{CUT}{size}, {json.dumps({'beginning': beginning, 'end': end})[1:]}"
