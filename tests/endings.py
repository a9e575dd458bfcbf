"""Ends of tasks, said by hand: what a worker would say, without one."""

from __future__ import annotations

import json
from typing import Any

from django_tasks import clock
from django_tasks.execution.outcome import Failed, Request, Succeeded
from django_tasks.execution.settlement import settle
from django_tasks.message.errors import write_error
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode
from django_tasks.message.serialization import dumps
from django_tasks.models import QueuedMessage, TaskResult

OWNER = "worker.1"


def claimed(id: str, owner: str = OWNER) -> Request:
    """A task that waits, as its next owner has it."""
    assert TaskResult.objects.claim([id], owner) == {id}
    return Request(message=TaskResult.objects.get(id=id).to_message(), worker="worker@test", owner=owner)


def untracked(message: TaskMessage) -> Request:
    """A task of which there is nothing but its message."""
    return Request(message=message, worker="worker@test", tracked=False)


def succeeded(request: Request, value: Any = None) -> Succeeded:
    now = clock.now()
    return Succeeded(request=request, result=str(dumps(value).body), started_at=now, finished_at=now)


def failed(request: Request, error: BaseException) -> Failed:
    now = clock.now()
    return Failed(request=request, error=write_error(error), traceback=None, started_at=now, finished_at=now)


def succeed(id: str, value: Any = None, owner: str = OWNER) -> None:
    settle([succeeded(claimed(id, owner), value)], owner)


def in_queues(task: str = "") -> list[TaskMessage]:
    """What waits there (of one task), read as a worker reads it."""
    found = [_read(row) for row in QueuedMessage.objects.order_by("pk")]
    return [message for message in found if task in ("", message.task)]


def _read(row: QueuedMessage) -> TaskMessage:
    said = json.loads(row.payload)
    envelope = Envelope(
        headers=said["headers"],
        body=said["body"],
        content_type=said["content-type"],
        content_encoding=said["content-encoding"],
        properties=said["properties"],
    )
    return decode(envelope, queue=row.queue, accept=("json",))
