"""One run of a task: its body is called, what came of it becomes an outcome, and whom it concerns is told."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any

import asgiref.sync
from asgiref.sync import sync_to_async

from django_tasks import clock, conf, middleware, signals, states
from django_tasks.definition import retry
from django_tasks.definition.einfo import ExceptionInfo
from django_tasks.definition.options import HANDLERS
from django_tasks.definition.request import Context, running_task, through_call
from django_tasks.definition.task import Task
from django_tasks.exceptions import Ignore, Reject, Replaced, TaskPredicate
from django_tasks.message.errors import write_error
from django_tasks.message.message import TaskMessage
from django_tasks.message.serialization import spell
from django_tasks.results.writing import write_result
from django_tasks.signals import TaskSignal

from . import atomic, errbacks, interruption, mails, news
from .interruption import interruptible
from .outcome import Failed, Ignored, Outcome, Rejected, Reported, Request, Retried, Settled, Succeeded


class Run:
    """One call of a task's body: made for one request, used once."""

    def __init__(
        self,
        request: Request,
        task: Task[..., Any] | None,
        take_report: Callable[[Reported], object] | None = None,
    ) -> None:
        self.request = request
        self.message = request.message
        self.task = task
        self.take_report = take_report
        self.started_at = clock.now()
        self.state = states.FAILURE
        #: What was returned or raised, for those who are told of it.
        self.value: Any = None
        self.einfo: ExceptionInfo | None = None
        self.is_eager = False
        #: Is its end recorded with what the body did, or never to be?
        self.is_settled = False

    def context(self, *, is_eager: bool) -> Context:
        """What the body can ask of this run."""
        self.is_eager = is_eager
        return Context.of(
            self.message,
            hostname=self.request.worker,
            is_eager=is_eager,
            owner=self.request.owner if self.request.tracked else "",
            report=self.report if self.take_report else None,
        )

    def to_its_end(self, context: Context, limit: Callable[[], AbstractContextManager[None]]) -> Outcome:
        task = self.task
        assert task is not None
        self.tell(signals.task_prerun)
        news.line(logging.DEBUG, self.request, "started")
        try:
            call = partial(self.call_body, task, context, limit)
            outcome = self.call_atomically(call) if task.atomic else call()
        except BaseException as error:  # noqa: BLE001 - also SystemExit: it ends the task only
            outcome = self.raised(task, context, error)
        return self.ended(task, outcome)

    def call_body(
        self, task: Task[..., Any], context: Context, limit: Callable[[], AbstractContextManager[None]]
    ) -> Outcome:
        task.before_start(self.message.id, self.message.args, self.message.kwargs)
        with limit():
            self.value = _call_body(self.message)
        if inspect.iscoroutine(self.value):
            self.value.close()
            raise TypeError(
                f"{task.name} returned a coroutine that nobody awaits. Define it with `async def`; if it is, "
                "a decorator hides that: mark what it returns with asgiref.sync.markcoroutinefunction."
            )
        return self.returned(context)

    def call_atomically(self, call: Callable[[], Outcome]) -> Outcome:
        try:
            outcome = atomic.in_one_transaction(partial(self.call_unless_replaced, call), self.request)
        except atomic.ClaimLost:
            self.state = states.IGNORED
            outcome = Ignored(request=self.request, finished_at=clock.now())
        self.is_settled = bool(self.request.owner)
        return outcome

    def call_unless_replaced(self, call: Callable[[], Outcome]) -> Outcome:
        """What takes the task's place is part of the transaction."""
        try:
            return call()
        except Replaced:
            return self.replaced()

    # -- the same with a body that is awaited; what else may block or use the database is called in a thread

    async def to_its_end_async(
        self, context: Context, limit: Callable[[], AbstractContextManager[None]]
    ) -> Outcome:
        task = self.task
        assert task is not None
        news.line(logging.DEBUG, self.request, "started")
        try:
            if self.has_audience(task):
                await sync_to_async(self.begin)(task)
            with limit():
                self.value = await _await_body(self.message)
            outcome = self.returned(context)
        except BaseException as error:  # noqa: BLE001 - also CancelledError: it ends the task only
            return await sync_to_async(self.fell)(task, context, error)
        if self.has_audience(task):
            return await sync_to_async(self.ended)(task, outcome)
        return self.ended(task, outcome)

    def has_audience(self, task: Task[..., Any]) -> bool:
        """Is any code of the user's to be called before or after the body?"""
        told = (signals.task_prerun, signals.task_postrun, signals.task_success, signals.task_retry)
        if any(signal.receivers for signal in told):
            return True
        return any(getattr(type(task), name) is not getattr(Task, name) for name in HANDLERS)

    def begin(self, task: Task[..., Any]) -> None:
        self.tell(signals.task_prerun)
        task.before_start(self.message.id, self.message.args, self.message.kwargs)

    def fell(self, task: Task[..., Any], context: Context, error: BaseException) -> Outcome:
        return self.ended(task, self.raised(task, context, error))

    # -- what both have in common

    def ended(self, task: Task[..., Any], outcome: Outcome) -> Outcome:
        """Tell whom it concerns. Answers what is left to be settled."""
        if isinstance(outcome, Succeeded):
            news.succeeded(self.request, (outcome.finished_at - outcome.started_at).total_seconds())
        self.call_handlers(task, outcome)
        self.tell(signals.task_postrun, retval=self.value, state=self.state)
        if self.is_settled:
            return Settled(request=self.request, started_at=self.started_at, finished_at=clock.now())
        return outcome

    def returned(self, context: Context) -> Outcome:
        result = self.written()
        return self.retried(context) if context._retry else self.succeeded(result)

    def written(self) -> str:
        """The result as it is stored. Nothing is asked of one that is not."""
        is_wanted = self.request.tracked or self.message.callbacks or self.message.chain
        return write_result(self.value, partial(spell, "The result")) if is_wanted else "null"

    def report(self, state: str, text: str) -> None:
        """Have a state of the body's own shown."""
        assert self.take_report is not None
        self.take_report(Reported(request=self.request, state=state, text=text, started_at=self.started_at))

    # -- what came of it

    def raised(self, task: Task[..., Any], context: Context, error: BaseException) -> Outcome:
        if context._retry is None and not isinstance(error, TaskPredicate):
            try:
                retry.automatically(task, error)
            except BaseException as final:  # noqa: BLE001 - it was tried often enough
                error = final
        if context._retry is not None:
            return self.retried(context, error)
        match error:
            case Replaced():
                return self.replaced()
            case Ignore():
                self.state = states.IGNORED
                return Ignored(request=self.request, finished_at=clock.now())
            case Reject(requeue=True):
                self.state = states.REJECTED
                return Rejected(request=self.request)
            case _:
                return self.failed(error)

    def replaced(self) -> Settled:
        """Whatever is left to be said of the task, another one will say."""
        self.state, self.is_settled = states.IGNORED, True
        return Settled(request=self.request, started_at=self.started_at, finished_at=clock.now())

    def succeeded(self, result: str) -> Succeeded:
        self.state = states.SUCCESS
        return Succeeded(
            request=self.request, result=result, started_at=self.started_at, finished_at=clock.now()
        )

    def retried(self, context: Context, raised: BaseException | None = None) -> Retried:
        again = context._retry
        assert again is not None
        self.state = states.RETRY
        cause = getattr(again.why, "exc", None)
        self.value = cause if cause is not None else again.why
        if self.value.__traceback__ is None and raised is not None:
            self.value.__traceback__ = (
                raised.__traceback__
            )  # made for `retry(exc=…)`: shown is where that was called
        self.einfo = ExceptionInfo(_ours_removed(self.value))
        news.asked_for_another_run(self.request, again.why)
        return Retried(
            request=self.request,
            message=again.message,
            error=write_error(self.value),
            traceback=self.einfo.traceback,
            started_at=self.started_at,
            finished_at=clock.now(),
        )

    def failed(self, error: BaseException) -> Failed:
        self.state = states.FAILURE  # also where it had succeeded but could not be committed
        self.value = _ours_removed(error)
        self.einfo = ExceptionInfo(error)
        is_expected = self.task is not None and isinstance(error, self.task.throws or ())
        news.failed(self.request, error, is_expected=is_expected)
        return Failed(
            request=self.request,
            error=write_error(error),
            traceback=self.einfo.traceback,
            started_at=self.started_at,
            finished_at=clock.now(),
        )

    # -- who is told

    def call_handlers(self, task: Task[..., Any], outcome: Outcome) -> None:
        """The task's own `on_…` methods, and whoever else waits for its end. What they raise is logged."""
        about = (self.message.id, self.message.args, self.message.kwargs)
        match outcome:
            case Succeeded():
                self.call(task.on_success, self.value, *about)
                signals.task_success.tell(task, result=self.value)
                self.call(task.after_return, self.state, self.value, *about, None)
            case Failed():
                self.call(task.on_failure, self.value, *about, self.einfo)
                self.tell_of_failure(task)
                errbacks.call_all(self.message, self.value, self.einfo.traceback if self.einfo else "")
                self.call(task.after_return, self.state, self.value, *about, self.einfo)
            case Retried():
                self.call(task.on_retry, self.value, *about, self.einfo)
                signals.task_retry.tell(task, request=task.request, reason=self.value, einfo=self.einfo)

    def tell_of_failure(self, task: Task[..., Any]) -> None:
        signals.task_failure.tell(
            task,
            task_id=self.message.id,
            exception=self.value,
            args=self.message.args,
            kwargs=self.message.kwargs,
            traceback=self.value.__traceback__,
            einfo=self.einfo,
        )
        if not task.request.is_eager:
            self.call(mails.write_to_admins, self.request, task, self.value, self.einfo)

    def call(self, handler: Callable[..., object], *arguments: object) -> None:
        if getattr(handler, "__func__", None) in _NO_HANDLERS:
            return
        try:
            handler(*arguments)
        except Exception as error:
            text = "%s raised %r; the outcome stands"
            news.line(logging.ERROR, self.request, text, handler.__name__, error, exc_info=error)
            if self.is_eager:  # as in Celery: there is somebody to tell, most often a test
                raise

    def tell(self, signal: TaskSignal, **more: object) -> None:
        if not signal.receivers:  # most often, and cheaper than what follows
            return
        message = self.message
        signal.tell(
            self.task, task_id=message.id, task=self.task, args=message.args, kwargs=message.kwargs, **more
        )


def _call_body(message: TaskMessage) -> Any:
    """The body of the running task, with the project's middleware around it."""
    paths = conf.current().EXECUTE_MIDDLEWARE
    return middleware.chain("EXECUTE_MIDDLEWARE", paths, _body)(message) if paths else _body(message)


def _body(message: TaskMessage) -> Any:
    task = running_task()
    assert task is not None
    if type(task).__call__ is Task.__call__:
        return task.run(*message.args, **message.kwargs)
    through_call()  # as in Celery, a class that overrides it has a say here, too
    return task(*message.args, **message.kwargs)


async def _await_body(message: TaskMessage) -> Any:
    """The same for a coroutine."""
    around = middleware.chain("EXECUTE_MIDDLEWARE", conf.current().EXECUTE_MIDDLEWARE, _body_async)
    return await around(message)


async def _body_async(message: TaskMessage) -> Any:
    body = _body(message)
    # What overrides `__call__` may have an answer without running the body.
    return await interruptible(body) if inspect.iscoroutine(body) else body


#: Files whose frames say nothing about a task.
_OURS = frozenset(
    {__file__, atomic.__file__, interruption.__file__, contextlib.__file__, asgiref.sync.__file__}
)
#: The handlers that do nothing, which most tasks have.
_NO_HANDLERS = frozenset({Task.on_success, Task.on_failure, Task.on_retry, Task.after_return})


def _ours_removed(error: BaseException) -> BaseException:
    """The exception without the first frames of its traceback, which are ours and say nothing about the task."""
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in _OURS:
        frames = frames.tb_next
    return error.with_traceback(frames)
