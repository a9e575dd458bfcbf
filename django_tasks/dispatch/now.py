"""Sending now: the task's row and its message, together or not at all.

Inside `transaction.atomic()` on the database of the tasks both are part of that transaction, so the task exists if and
only if it commits. Outside they are a transaction of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from django.db import connections, transaction

from django_tasks import conf, middleware, signals
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import EncodeError
from django_tasks.message.message import Envelope, TaskMessage, size_of
from django_tasks.message.protocol2 import encode
from django_tasks.message.retry_policy import RetryPolicy, usual
from django_tasks.message.serialization import dumps
from django_tasks.message.task_id import is_generated
from django_tasks.models.together import together
from django_tasks.results.handler import results

from .at_once import send_at_once
from .prepared import Prepared, are_known_by_rows
from .reconnecting import is_the_callers, write_at_once


def send(messages: Sequence[TaskMessage]) -> None:
    """Send tasks, all or none.

    Raises `EncodeError` for arguments that cannot be written or are too large, and `DuplicateTaskId` for an id that
    is taken; then nothing was sent.
    """
    deliver(prepare(messages))


def prepare(messages: Sequence[TaskMessage]) -> list[Prepared]:
    ready = [through_middleware(message) for message in messages]
    return [Prepared(message=message, envelope=_written(message)) for message in ready]


def _written(message: TaskMessage) -> Envelope:
    """What every worker would refuse is refused here, where somebody can do something about it."""
    envelope = encode(message)
    most = conf.current().MESSAGE_MAX_BYTES
    size = size_of(envelope.body, most)
    if message.headers:
        size = max(size, len(dumps(message.headers).body))
    if size > most:
        raise EncodeError(
            f"The message of {message.task} takes {size:,} bytes; DJANGO_TASKS['MESSAGE_MAX_BYTES'] allows {most:,}. "
            "Pass what is large by its name or key, or raise the limit for all that send and run tasks."
        )
    return envelope


def through_middleware(message: TaskMessage) -> TaskMessage:
    """The message that the project's middleware makes of this one. What it raises is raised."""
    paths = conf.current().SEND_MIDDLEWARE
    if not paths:
        return message
    made = middleware.chain("SEND_MIDDLEWARE", paths, _as_it_is)(message)
    if not isinstance(made, TaskMessage) or made.id != message.id:
        raise TypeError(
            f"SEND_MIDDLEWARE must answer with the message to send, under the id it has ({message.id}), not {made!r}. "
            "To send nothing, raise an exception."
        )
    return made


def _as_it_is(message: TaskMessage) -> TaskMessage:
    return message


def deliver(prepared: Sequence[Prepared]) -> None:
    """Write rows and messages. Raises `OperationalError` if the database or the broker cannot be reached.

    Inside the caller's transaction they are part of it, with a broker of its own as well: see its outbox.
    """
    alias = conf.current().DATABASE
    policy = policy_of([sent.message for sent in prepared])
    _tell(signals.before_task_publish, prepared, properties={}, declare=(), retry_policy=policy)
    if not broker().is_embedded and not is_the_callers(connections[alias]):
        send_at_once(prepared, policy)
    else:
        _send_in_transaction(prepared, policy, alias)
    if signals.after_task_publish.receivers:
        transaction.on_commit(partial(_tell, signals.after_task_publish, prepared), using=alias)


def _send_in_transaction(prepared: Sequence[Prepared], policy: RetryPolicy, alias: str) -> None:
    # An id that the caller chose may be taken; the savepoint lets the caller's transaction survive that error.
    chosen = not all(is_generated(sent.message.id) for sent in prepared)
    alone = are_known_by_rows(prepared) and broker().alias == alias
    write = partial(_write, prepared, alias)
    write_at_once(write, alias=alias, policy=policy, savepoint=chosen, alone=alone)


def policy_of(messages: Sequence[TaskMessage]) -> RetryPolicy:
    """How patiently these are sent: tasks that are sent together come of one call, or of one workflow's first part."""
    return next((message.retry_policy for message in messages if message.retry_policy), None) or usual()


def _write(prepared: Sequence[Prepared], alias: str) -> None:
    tracked = [(sent.message, sent.envelope) for sent in prepared if not sent.message.ignore_result]
    post = partial(broker().publish, [sent.posting() for sent in prepared])
    with results().refusing_taken([message.id for message, _ in tracked]), together(connections[alias]):
        if tracked:
            results().open(tracked)
        if broker().alias == alias:
            post()
    if broker().alias != alias:
        transaction.on_commit(post, using=alias)


def _tell(
    signal: signals.TaskSignal,
    prepared: Sequence[Prepared],
    retry_policy: RetryPolicy | None = None,
    **more: object,
) -> None:
    if not signal.receivers:
        return
    if retry_policy is not None:
        more["retry_policy"] = asdict(retry_policy)
    for sent in prepared:
        message, headers = sent.message, dict(sent.envelope.headers)
        embed = {
            "callbacks": message.callbacks,
            "errbacks": message.errbacks,
            "chain": message.chain,
            "chord": message.chord,
        }
        body = (message.args, message.kwargs, embed)
        exchange, key = message.address
        signal.tell(message.task, headers=headers, body=body, exchange=exchange, routing_key=key, **more)
