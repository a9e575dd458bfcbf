"""Celery's message protocol 1, which older programs send, read into a TaskMessage. It is never written.

There are no headers: all is in the body, an object. A program between the protocols may write some of it as headers,
and these count then, as in Celery 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django_tasks import conf
from django_tasks.exceptions import DecodeError

from . import serialization
from .fields import ARRAY, HIGHEST_PRIORITY, LONGEST, Fields, refusal
from .message import Envelope, TaskMessage
from .saferepr import saferepr


def decode(
    envelope: Envelope, *, queue: str, exchange: str, routing_key: str, accept: Collection[str]
) -> TaskMessage:
    """Read a message without the header `task`. Raises `DecodeError`, and nothing else."""
    headers = Fields(envelope.headers, kind="Header").values
    body = _body(envelope, accept)
    said = Fields({**body, **_protocols(headers)}, kind="Body field")
    task, id_ = _identity(said)
    args, kwargs = _arguments(body)
    properties = Fields(envelope.properties, kind="Property")
    hard, soft = said.time_limits("timelimit")
    redact = conf.current().REDACT
    return TaskMessage(
        id=id_,
        task=task,
        args=args,
        kwargs=kwargs,
        queue=queue,
        exchange=exchange,
        routing_key=routing_key,
        priority=min(properties.count("priority") or 0, HIGHEST_PRIORITY),
        ignore_result=None,
        retries=said.count("retries") or 0,
        eta=said.moment("eta"),
        expires=said.moment("expires"),
        time_limit=hard,
        soft_time_limit=soft,
        root_id=said.name("root_id") or id_,
        parent_id=said.name("parent_id"),
        # Celery wrote its name of old last, and reads it first.
        group=said.name("taskset") or said.name("group"),
        group_index=said.count("group_index"),
        shadow=said.display("shadow", most=LONGEST) or None,
        origin=said.display("origin", most=LONGEST),
        reply_to=properties.name("reply_to") or "",
        argsrepr=saferepr(args, redact=redact),
        kwargsrepr=saferepr(kwargs, redact=redact),
        serializer=serialization.name_of(envelope.content_type),
        compression=Fields(headers, kind="Header").name("compression"),
        callbacks=said.signatures("callbacks"),
        errbacks=said.signatures("errbacks"),
        chord=said.signature("chord"),
        headers={name: value for name, value in headers.items() if name not in _OURS},
    )


#: What a message says as headers in protocol 2, and may say in the body in this one.
_PROTOCOLS = frozenset({
    "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id", "parent_id",
    "origin",
})  # fmt: skip
#: Further headers that are not the user's.
_OURS = _PROTOCOLS | {
    "lang",
    "argsrepr",
    "kwargsrepr",
    "ignore_result",
    "replaced_task_nesting",
    "compression",
}


def _protocols(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: headers[name] for name in _PROTOCOLS if headers.get(name) is not None}


def _body(envelope: Envelope, accept: Collection[str]) -> Mapping[str, Any]:
    body = serialization.loads(
        envelope.body,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        accept=accept,
    )
    if not isinstance(body, Mapping) or "task" not in body:
        raise DecodeError(
            "The message has no `task` header, as protocol 2 has, nor a body that names a `task`, as protocol 1 has;"
            " correct its sender."
        )
    return body


def _identity(said: Fields) -> tuple[str, str]:
    task, id_ = said.name("task"), said.name("id")
    if task is None or id_ is None:
        raise DecodeError("The message has no `task` or no `id`; correct its sender.")
    return task, id_


def _arguments(body: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, kwargs = body.get("args"), body.get("kwargs")
    args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
    # Only the types are told: the reason is shown to people, and arguments may be secret.
    if not isinstance(args, ARRAY):
        raise refusal("Body field `args`", "a list", type(args).__name__)
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise refusal("Body field `kwargs`", "a mapping of names to values", type(kwargs).__name__)
    return tuple(args), kwargs
