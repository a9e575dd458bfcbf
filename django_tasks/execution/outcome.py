"""What was asked of a task process and what came of it, as values."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django_tasks.message.message import TaskMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One task to run, accepted by this process."""

    message: TaskMessage
    #: The worker, as `name@host`.
    worker: str
    #: Whether the task has a row, which then is this process's own.
    tracked: bool = True
    #: Whether the body is a coroutine.
    is_async: bool = False
    #: Whose the row is, as it says; empty where there is none to write (an eager run).
    owner: str = ""
    #: The message to settle after the run, of an untracked task with `acks_late`.
    delivery: Any = None

    @property
    def name(self) -> str:
        """What to call the task in logs."""
        return self.message.shadow or self.message.task


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The body is running; there is more to come."""

    request: Request
    started_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The body is running and shows a state of its own; `text` is what that carries, as JSON."""

    request: Request
    state: str
    text: str
    started_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The body returned; `result` is what it returned, as JSON text."""

    request: Request
    result: str
    started_at: dt.datetime
    finished_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The body raised, or what it returned cannot be stored, or its process died."""

    request: Request
    #: The exception as JSON text.
    error: str
    traceback: str | None
    started_at: dt.datetime | None
    finished_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """The body asked to be run again: `message` is the next run's order, which says when."""

    request: Request
    message: TaskMessage
    error: str
    traceback: str | None
    started_at: dt.datetime
    finished_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The body wants nothing to be recorded but that it ended."""

    request: Request
    finished_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The body wants the task to go back to its queue."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """The task may not run any more; its body was never called."""

    request: Request
    error: str
    finished_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How it ended is recorded already, with the effects of its body (`atomic=True`): nothing is left to write."""

    request: Request
    started_at: dt.datetime
    finished_at: dt.datetime


Outcome = Succeeded | Failed | Retried | Ignored | Rejected | Revoked | Settled
