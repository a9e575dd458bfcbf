"""Answering programs in real Celery that wait for a result by `rpc://`: at its end a task's record is sent to them.

It is best effort, as in Celery: the row is the truth, and who cannot be told may ask it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from django_tasks import conf, exceptions, states
from django_tasks.brokers.handler import broker
from django_tasks.brokers.replying import Reply
from django_tasks.exceptions import OperationalError
from django_tasks.message.message import TaskMessage
from django_tasks.results.store import Record

logger = logging.getLogger("django_tasks.worker")


def answer(ended: Iterable[tuple[TaskMessage, Record]]) -> None:
    """Send these when the transaction that records the ends commits."""
    if not conf.current().is_remote:
        return
    replies = [_reply(message, record) for message, record in ended if message.reply_to]
    if replies:
        transaction.on_commit(lambda: _send(replies), using=conf.current().DATABASE, robust=True)


def _send(replies: list[Reply]) -> None:
    try:
        broker().reply(replies)
    except OperationalError as error:
        logger.warning("%d callers that wait by rpc:// were not answered: %s", len(replies), error)


def _reply(message: TaskMessage, record: Record) -> Reply:
    return Reply(to=message.reply_to, correlation_id=message.id, record=json.dumps(_record(message, record)))


def _record(message: TaskMessage, record: Record) -> dict[str, Any]:
    """As Celery writes it. The result stays as it was written, with kombu's marks for what JSON does not have."""
    result = None if record.text is None else json.loads(record.text)
    return {
        "status": record.status,
        "result": _error(result) if record.status in states.PROPAGATE_STATES else result,
        "traceback": record.traceback,
        "children": [],
        "date_done": record.finished_at and record.finished_at.isoformat(),
        "task_id": message.id,
        **({"parent_id": message.parent_id} if message.parent_id else {}),
        **({"group_id": message.group} if message.group else {}),
    }


#: Exceptions that a caller catches by Celery's names.
_CELERYS = frozenset({
    "ChordError", "MaxRetriesExceededError", "NotRegistered", "SoftTimeLimitExceeded", "TaskRevokedError",
    "TimeLimitExceeded", "WorkerLostError",
})  # fmt: skip


def _error(written: Any) -> Any:
    """An exception that the caller's own program has, where ours is one of Celery's."""
    if not isinstance(written, dict) or written.get("exc_module") != exceptions.__name__:
        return written
    return {**written, "exc_module": "celery.exceptions"} if written.get("exc_type") in _CELERYS else written
