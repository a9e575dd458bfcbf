"""Every exception of the app, in one place. Messages end with what to do."""

from __future__ import annotations

import builtins
import datetime as dt


class TasksError(Exception):
    """What all our own errors have in common."""


class NotRegistered(TasksError, KeyError):
    """No task has this name; the module that defines it was never imported."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class AlreadyRegistered(TasksError):
    """Two different functions claim one task name."""


class UnknownOption(TasksError, TypeError):
    """An option that no task or call has; the message guesses what was meant."""


class UnknownQueue(TasksError, ValueError):
    """A queue that `TASK_QUEUES` does not declare."""


class UnknownCommand(TasksError, LookupError):
    """Something that no worker can be asked; the message says what can be."""


class Unroutable(UnknownQueue):
    """An exchange that delivers to no queue: none that is declared, or none there is (`mandatory`)."""


class DuplicateTaskId(TasksError, ValueError):
    """The chosen `task_id` already belongs to another task."""


class EncodeError(TasksError, TypeError):
    """Arguments or a result that the serializer cannot write."""


class DecodeError(TasksError, ValueError):
    """A message that cannot be read; it is set aside, with this text as the reason."""


class NotSigned(DecodeError):
    """A message that nobody with the project's `SECRET_KEY` wrote, or not as it is; see `MESSAGE_SIGNING`."""


class OperationalError(TasksError):
    """The database, or the broker, cannot be reached, so nothing was sent."""


class TimeoutError(TasksError, builtins.TimeoutError):  # Celery names it so
    """`AsyncResult.get` waited for its whole timeout; the task goes on."""


class IncompleteStream(TasksError):
    """What came of a task was asked for while some of it is still to end."""


class ResultTooLarge(TasksError, ValueError):
    """What a task returned, or shows of its progress, is more than `RESULT_MAX_BYTES`."""


class ResultsDisabled(TasksError, NotImplementedError):  # as Celery's DisabledBackend raises
    """Results were asked for, and `RESULT_STORE` is "disabled"."""


class TaskPredicate(TasksError):
    """Raised by a task to say what is to become of this run; it is no error."""


class Ignore(TaskPredicate):
    """The body has seen to the state itself: record nothing."""


class Replaced(Ignore):
    """The body had a workflow take its place, which will end under its id (`Task.replace`)."""


class Reject(TaskPredicate):
    """Put the task back into its queue (`requeue=True`), or end it as a failure with `reason`."""

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue


class Retry(TaskPredicate):
    """The task will be run again: what `Task.retry` raises. `exc` is why, `when` the moment or the seconds until it."""

    def __init__(
        self,
        message: str = "Retry",
        exc: BaseException | None = None,
        when: dt.datetime | float | None = None,
    ) -> None:
        super().__init__(message, exc, when)
        self.message = message
        self.exc = exc
        self.when = when

    def __str__(self) -> str:
        return f"{self.message}: {self.exc!r}" if self.exc is not None else self.message


class MaxRetriesExceededError(TasksError):
    """It was tried as often as it may be, and there is no exception that says more."""


class SoftTimeLimitExceeded(Exception):
    """Raised inside a body that runs longer than its `soft_time_limit`, so that it can clean up."""


class TimeLimitExceeded(TasksError):
    """The body ran longer than its `time_limit`, and its process was killed."""


#: The names these had in Celery 2.
RetryTaskError = Retry
MaxRetriesExceeded = MaxRetriesExceededError


class TaskRevokedError(TasksError):
    """The task was revoked or had expired before it could run."""


class WorkerLostError(TasksError):
    """The process that ran the task died."""


class ChordError(TasksError):
    """A task of a chord's header did not end in success, so its body is not run."""


class UrlRefused(TasksError, ValueError):
    """`http_dispatch` may not call this URL; the message says what would allow it."""


class InvalidResponseError(TasksError):
    """What `http_dispatch` called answered something else than it should."""


class RemoteExecuteError(InvalidResponseError):
    """What `http_dispatch` called says that it failed, and why."""


class UnknownStatusError(InvalidResponseError):
    """What `http_dispatch` called answered with a status that is neither success nor failure."""
