"""Runs that did not simply succeed, noted in the transaction that records how they ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django_tasks import clock, conf
from django_tasks.message.errors import tell
from django_tasks.message.fields import LONGEST
from django_tasks.message.fingerprint import fingerprint
from django_tasks.message.message import TaskMessage
from django_tasks.message.saferepr import storable
from django_tasks.models import FailureTally, TaskAttempt
from django_tasks.models.attempt import LONGEST_MESSAGE, LONGEST_TRACEBACK
from django_tasks.models.failure import Failures

from .outcome import Failed, Outcome, Reported, Request, Retried, Started

Ending = TaskAttempt.Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What became of a run that goes back to its queue because its process is gone: nobody settles it."""

    request: Request
    ending: Ending
    error: str
    started_at: dt.datetime | None
    finished_at: dt.datetime


def attempts_of(outcomes: Iterable[Outcome | Started | Reported]) -> dict[str, TaskAttempt]:
    """The attempts that are to be noted of these, by the ids of their tasks. Of a success there is none."""
    return {
        outcome.request.message.id: _attempt(outcome)
        for outcome in outcomes
        if isinstance(outcome, Failed | Retried)
    }


def note(attempts: Sequence[TaskAttempt], tasks: Mapping[str, str]) -> None:
    """Write these, and have those counted that failed for good; `tasks` are the names, by id."""
    if not attempts:
        return
    alias = conf.current().DATABASE
    TaskAttempt.objects.using(alias).insert(attempts)
    failed = [attempt for attempt in attempts if attempt.ending == Ending.FAILURE]
    FailureTally.objects.using(alias).insert(_failures(attempt, tasks[attempt.task_id]) for attempt in failed)


def note_lost(lost: Iterable[Lost]) -> None:
    """Note runs that nobody settles."""
    TaskAttempt.objects.using(conf.current().DATABASE).insert([_attempt(one) for one in lost])


def _attempt(ended: Failed | Retried | Lost) -> TaskAttempt:
    message, told = ended.request.message, tell(ended.error)
    traceback = "" if isinstance(ended, Lost) else ended.traceback or ""
    return TaskAttempt(
        task_id=message.id,
        number=message.retries + 1,
        ending=_ending(ended),
        worker=ended.request.worker,
        started_at=ended.started_at and clock.to_storage(ended.started_at),
        finished_at=clock.to_storage(ended.finished_at),
        error_type=storable(told.kind)[:LONGEST],
        message=storable(told.said[:LONGEST_MESSAGE]),
        traceback=_shortened(storable(_shortened(traceback))),
        fingerprint=fingerprint(message.task, told, traceback),
    )


def _ending(ended: Failed | Retried | Lost) -> Ending:
    match ended:
        case Lost(ending=ending):
            return ending
        case Retried():
            return Ending.RETRY
        case Failed():
            return Ending.FAILURE


def _shortened(traceback: str) -> str:
    """The beginning says who called, the end what was raised and where."""
    if len(traceback) <= LONGEST_TRACEBACK:
        return traceback
    third = LONGEST_TRACEBACK // 3
    return f"{traceback[:third]}\n…\n{traceback[-2 * third :]}"


def _failures(attempt: TaskAttempt, task: str) -> Failures:
    return Failures(
        fingerprint=attempt.fingerprint,
        task=task,
        error_type=attempt.error_type,
        sample=attempt.message,
        first_at=attempt.finished_at,
        last_at=attempt.finished_at,
    )


def names(messages: Iterable[TaskMessage]) -> dict[str, str]:
    return {message.id: message.task for message in messages}
