"""TaskMessage ⇄ Celery's message protocol 2, as Celery 5 speaks it (docs.celeryq.dev, "Message Protocol").

Headers say what to run and when, the body is `[args, kwargs, embed]`, properties are for the broker. The body
of an envelope is never compressed: kombu compresses when it publishes, as the header `compression` says, and undoes it
on receipt.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Collection, Mapping
from functools import cache, partial
from typing import Any

from django_tasks import clock, conf
from django_tasks.exceptions import DecodeError

from . import asked, protocol1, serialization, signing
from .fields import ARRAY, HIGHEST_PRIORITY, LONGEST, Fields
from .message import Envelope, TaskMessage

#: Headers with a meaning of their own, not the user's to choose. `compression` is kombu's, which acts on it: one that
#: the broker did not act on would make the next reader decompress plain text.
RESERVED = frozenset({
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit",
    "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting",
    "compression", asked.ASKED, asked.SUBJECT, signing.HEADER,
})  # fmt: skip
#: Forwarded as they came, like the user's headers, but always written.
_STAMPS = frozenset({"stamped_headers", "stamps"})
_KNOWN = RESERVED | _STAMPS
_PERSISTENT = 2
#: Containers inside one another in a body. What is read must be written again one day, when the stack may be deeper
#: than now, and Python's own limit is twice as much.
_DEEPEST = 500


def encode(message: TaskMessage) -> Envelope:
    """Write `message` down, and sign it if the settings say so. Raises `EncodeError` if that cannot be done."""
    body = (message.args, dict(message.kwargs), _embed(message))
    content_type, content_encoding, written = serialization.dumps(
        body, message.serializer, where=_place_in_body
    )
    envelope = Envelope(
        headers=_headers(message),
        body=written,
        content_type=content_type,
        content_encoding=content_encoding,
        properties=_properties(message),
    )
    if not conf.current().MESSAGE_SIGNING:
        return envelope
    return signing.sign(envelope, address=message.address, headers=_free(message.headers))


def _embed(message: TaskMessage) -> dict[str, Any]:
    return {
        "callbacks": message.callbacks,
        "errbacks": message.errbacks,
        "chain": message.chain,
        "chord": message.chord,
    }


def _headers(message: TaskMessage) -> dict[str, Any]:
    return {
        "lang": "py",
        "task": message.task,
        "id": message.id,
        "shadow": message.shadow,
        "eta": _iso(message.eta),
        "expires": _iso(message.expires),
        "group": message.group,
        "group_index": message.group_index,
        "retries": message.retries,
        "timelimit": [message.time_limit, message.soft_time_limit],
        "root_id": message.root_id or message.id,
        "parent_id": message.parent_id,
        "argsrepr": message.argsrepr,
        "kwargsrepr": message.kwargsrepr,
        "origin": message.origin or f"gen{os.getpid()}@{_hostname()}",
        "ignore_result": message.ignore_result,
        "replaced_task_nesting": message.replaced_task_nesting,
        "stamped_headers": None,
        "stamps": {},
        **({"compression": message.compression} if message.compression else {}),
        **(asked.headers(message.asked, message.subject) if message.asked or message.subject else {}),
        **_checked(message.headers),
    }


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else clock.from_storage(moment).isoformat()


def _place_in_body(path: serialization.Path) -> str:
    match path:
        case (0, int(position), *inside):
            return serialization.spell(f"Argument {position + 1}", tuple(inside))
        case (1, name, *inside):
            return serialization.spell(f"Keyword argument {name!r}", tuple(inside))
    return serialization.spell("The message", path[1:])


@cache
def _hostname() -> str:
    return socket.gethostname()


def _checked(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    if not headers:
        return headers
    # Rows and transports write headers as JSON: better to hear of trouble here.
    serialization.dumps(headers, where=partial(serialization.spell, "The value of headers"))
    return {name: value for name, value in headers.items() if name not in RESERVED}


def _properties(message: TaskMessage) -> dict[str, Any]:
    properties = {
        "correlation_id": message.id,
        "reply_to": message.reply_to,
        "delivery_mode": _PERSISTENT,
        "priority": message.priority,
    }
    if message.expires is not None:
        left = clock.from_storage(message.expires) - clock.now()
        properties["expiration"] = str(max(0, round(left / dt.timedelta(milliseconds=1))))
    return properties


def decode(
    envelope: Envelope, *, queue: str, exchange: str = "", routing_key: str = "", accept: Collection[str]
) -> TaskMessage:
    """Read a message that came by `queue`, whoever wrote it. Raises `DecodeError`, and nothing else.

    Only the headers `task` and `id` are needed; those that are not `RESERVED` are kept. Without the first it is one of
    protocol 1. `accept`: the serializers to be read, by name or content type.
    """
    headers = Fields(envelope.headers, kind="Header")
    if headers.values.get("task") is None:
        return protocol1.decode(
            envelope, queue=queue, exchange=exchange, routing_key=routing_key, accept=accept
        )
    task, id_ = _identity(headers)
    args, kwargs, embed = _body(envelope, accept)
    properties = Fields(envelope.properties, kind="Property")
    hard, soft = headers.time_limits("timelimit")
    return TaskMessage(
        id=id_,
        task=task,
        args=args,
        kwargs=kwargs,
        queue=queue,
        exchange=exchange,
        routing_key=routing_key,
        priority=min(properties.count("priority") or 0, HIGHEST_PRIORITY),
        ignore_result=headers.flag("ignore_result"),
        retries=headers.count("retries") or 0,
        eta=headers.moment("eta"),
        expires=headers.moment("expires"),
        time_limit=hard,
        soft_time_limit=soft,
        root_id=headers.name("root_id") or id_,
        parent_id=headers.name("parent_id"),
        group=headers.name("group"),
        group_index=headers.count("group_index"),
        shadow=headers.display("shadow", most=LONGEST) or None,
        origin=headers.display("origin", most=LONGEST),
        reply_to=properties.name("reply_to") or "",
        argsrepr=headers.display("argsrepr"),
        kwargsrepr=headers.display("kwargsrepr"),
        serializer=serialization.name_of(envelope.content_type),
        compression=headers.name("compression"),
        callbacks=embed.signatures("callbacks"),
        errbacks=embed.signatures("errbacks"),
        chain=embed.signatures("chain"),
        chord=embed.signature("chord"),
        replaced_task_nesting=headers.count("replaced_task_nesting") or 0,
        asked=asked.read_asked(headers.values),
        subject=asked.read_subject(headers.values),
        headers=_free(headers.values),
    )


def _identity(headers: Fields) -> tuple[str, str]:
    task, id_ = headers.name("task"), headers.name("id")
    if task is None:
        raise DecodeError("The message has an empty `task` header; correct its sender.")
    if id_ is None:
        raise DecodeError("The message has no `id` header; correct its sender.")
    return task, id_


def _free(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers to keep: all but ours, and stamps only where there are some."""
    if headers.keys() <= _KNOWN and not headers.get("stamps") and not headers.get("stamped_headers"):
        return {}  # of nearly every message
    return {
        name: value for name, value in headers.items() if name not in _KNOWN or (value and name in _STAMPS)
    }


def _body(envelope: Envelope, accept: Collection[str]) -> tuple[tuple[Any, ...], dict[str, Any], Fields]:
    body = serialization.loads(
        envelope.body,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        accept=accept,
    )
    if _may_be_deep(envelope) and serialization.is_deeper(body, _DEEPEST, size=len(envelope.body)):
        raise DecodeError(f"The body is nested deeper than {_DEEPEST} levels; correct its sender.")
    if not isinstance(body, ARRAY) or len(body) != 3:
        raise _malformed("The body", "[args, kwargs, embed]", body)
    args, kwargs, embed = body
    if not isinstance(args, ARRAY):
        raise _malformed("The first part of the body, args,", "a list", args)
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise _malformed("The second part of the body, kwargs,", "a mapping of names to values", kwargs)
    return tuple(args), kwargs, Fields({} if embed is None else embed, kind="Embed")


def _may_be_deep(envelope: Envelope) -> bool:
    """Of JSON a count of brackets tells it of nearly all messages, and costs nothing."""
    if envelope.content_type != "application/json":
        return True
    body = envelope.body
    brackets = (
        body.count("[") + body.count("{") if isinstance(body, str) else body.count(b"[") + body.count(b"{")
    )
    return brackets > _DEEPEST


def _malformed(what: str, wanted: str, value: object) -> DecodeError:
    # Only the type is told: the reason is shown to people, and arguments may be secret.
    return DecodeError(f"{what} must be {wanted}, not a {type(value).__name__}; correct its sender.")
