"""Outcomes as bytes, so that they outlive the process in which they came about."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode, encode
from django_tasks.message.serialization import name_of

from .outcome import Failed, Ignored, Outcome, Rejected, Request, Retried, Revoked, Settled, Succeeded


def write(outcome: Outcome) -> tuple[bytes, bytes]:
    """The outcome, and a short form that only says that the task's body ended."""
    id = outcome.request.message.id
    return json.dumps([id, *_fields(outcome)]).encode(), f"[{json.dumps(id)}]".encode()


def _fields(outcome: Outcome) -> list[Any]:
    match outcome:
        case Succeeded(result=result, started_at=started, finished_at=finished):
            return ["succeeded", result, started.timestamp(), finished.timestamp()]
        case Failed(error=error, traceback=text, started_at=started, finished_at=finished):
            return ["failed", error, text, started and started.timestamp(), finished.timestamp()]
        case Retried(message=message, error=error, traceback=text, started_at=started, finished_at=finished):
            order, times = encode(message).to_text(), (started.timestamp(), finished.timestamp())
            return ["retried", error, text, *times, message.queue, order]
        case Ignored(finished_at=finished):
            return ["ignored", finished.timestamp()]
        case Rejected():
            return ["rejected"]
        case Revoked(error=error, finished_at=finished):
            return ["revoked", error, finished.timestamp()]
        case Settled(started_at=started, finished_at=finished):
            return ["settled", started.timestamp(), finished.timestamp()]


def read(written: bytes, worker: str) -> tuple[str, Outcome | None]:
    """The id of a task that ended, and its outcome unless only the short form was kept."""
    id, *fields = json.loads(written)
    request = Request(message=TaskMessage(id=id, task=""), worker=worker)
    match fields:
        case ["succeeded", result, started, finished]:
            return id, Succeeded(
                request=request, result=result, started_at=_moment(started), finished_at=_moment(finished)
            )
        case ["failed", error, text, started, finished]:
            return id, Failed(
                request=request,
                error=error,
                traceback=text,
                started_at=started and _moment(started),
                finished_at=_moment(finished),
            )
        case ["retried", error, text, started, finished, queue, order]:
            return id, Retried(
                request=request,
                message=_order(order, queue),
                error=error,
                traceback=text,
                started_at=_moment(started),
                finished_at=_moment(finished),
            )
        case ["ignored", finished]:
            return id, Ignored(request=request, finished_at=_moment(finished))
        case ["rejected"]:
            return id, Rejected(request=request)
        case ["revoked", error, finished]:
            return id, Revoked(request=request, error=error, finished_at=_moment(finished))
        case ["settled", started, finished]:
            return id, Settled(request=request, started_at=_moment(started), finished_at=_moment(finished))
    return id, None


def _order(text: str, queue: str) -> TaskMessage:
    envelope = Envelope.from_text(text)
    # It was accepted once, and we wrote it ourselves.
    return decode(envelope, queue=queue, accept={name_of(envelope.content_type)})


def _moment(epoch: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(epoch, dt.UTC)
