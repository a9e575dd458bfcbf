"""Verdicts: the ends of tasks because of which their process was killed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django_tasks import clock, conf
from django_tasks.brokers.broker import Delivery
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import DecodeError, TimeLimitExceeded
from django_tasks.execution.outcome import Failed, Request, Revoked
from django_tasks.execution.report import report_failures
from django_tasks.execution.settlement import settle, terminated
from django_tasks.message.errors import write_error
from django_tasks.message.message import TaskMessage
from django_tasks.message.serialization import name_of
from django_tasks.models import TaskResult

from .board import OVERDUE, TERMINATED, Running
from .reading import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The message of an untracked task, which its consumer keeps until the task has ended (`acks_late`)."""

    delivery: Delivery
    message: TaskMessage


def is_final(task: Running) -> bool:
    """Is it to end as its verdict says? Else it is judged as one that its process died of."""
    return task.verdict in (OVERDUE, TERMINATED)


def execute(guilty: Sequence[Running], owner: str, worker: str) -> None:
    """End these tasks of a dead `owner`, and have it told. Part of the transaction that takes over what it left.

    A tracked one has a row and an untracked one that is `acks_late` its message. Of any other nothing is left but the
    id on the board: it is over, and that is all.
    """
    if not guilty:
        return
    rows = TaskResult.objects.using(conf.current().DATABASE)
    tracked = set(rows.owned_by(owner).values_list("id", flat=True))
    held = {one.message.id: one for one in _held(owner) if one.message.id not in tracked}
    known = [task for task in guilty if task.id in tracked or task.id in held]
    ended = settle([_sentence(task, held.get(task.id), worker) for task in known], owner)
    report_failures([outcome.request.message.id for outcome in ended])
    broker().forget(owner, [held[task.id].delivery for task in known if task.id in held])


def _held(owner: str) -> list[Held]:
    found = []
    for delivery in broker().held(owner):
        accept = {name_of(delivery.envelope.content_type)}  # it was accepted once, or it would not be held
        try:
            message = read(delivery, accept)
        except DecodeError:
            continue  # a consumer of another kind took it: rescue gives it back
        found.append(Held(delivery=delivery, message=message))
    return found


def _sentence(task: Running, held: Held | None, worker: str) -> Failed | Revoked:
    message = TaskMessage(id=task.id, task="") if held is None else held.message
    request = Request(message=message, worker=worker, tracked=held is None)
    if task.verdict == TERMINATED:
        return terminated(request)
    finished_at = clock.now()
    return Failed(
        request=request,
        error=write_error(TimeLimitExceeded(f"It ran longer than its time limit of {task.limit:g} s.")),
        traceback=None,
        started_at=finished_at - dt.timedelta(seconds=clock.monotonic() - task.since),
        finished_at=finished_at,
    )
