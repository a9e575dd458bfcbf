"""The request: whose run this is.

A run is entered with `running(task, context)`. Runs form a stack per thread and per coroutine (a context
variable), so a task that calls another one directly has its own request back afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from django_tasks.message.message import TaskMessage
from django_tasks.results.async_result import AsyncResult

from .context import Context

if TYPE_CHECKING:
    from .task import Task

__all__ = [
    "Context",
    "called",
    "current_task",
    "directly",
    "request_of",
    "running",
    "running_task",
    "sender",
    "sent_here",
    "through_call",
]

Sent = TypeVar("Sent", bound=AsyncResult[Any])


class running:  # noqa: N801 - it reads as a verb where it is used
    """`with running(task, context):` makes `context` the request of `task`. Each instance is for one use."""

    __slots__ = ("_token", "body_is_due", "context", "outer", "task")

    _token: Token[running | None]
    #: The run around this one, if there is one.
    outer: running | None

    def __init__(self, task: Task[..., Any], context: Context) -> None:
        self.task = task
        self.context = context
        #: Its task was called like a function, and its body is to be run from there; see `called`.
        self.body_is_due = False

    def __enter__(self) -> Context:
        self.outer = _innermost.get()
        self._token = _innermost.set(self)
        return self.context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _innermost.reset(self._token)


_innermost: ContextVar[running | None] = ContextVar("django_tasks_run", default=None)


def request_of(task: Task[..., Any]) -> Context:
    """The innermost run of `task` here; outside of one, a context that says "called directly"."""
    run = _innermost.get()
    while run is not None:
        if run.task is task:
            return run.context
        run = run.outer
    return directly(task, (), {})


def through_call() -> None:
    """Say that the run under way calls its task like a function, because that overrides `__call__`."""
    run = _innermost.get()
    assert run is not None
    run.body_is_due = True


@contextlib.contextmanager
def called(task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[None]:
    """The block is the body of `task`, called like a function: a run of its own, unless it is what a worker called."""
    run = _innermost.get()
    if run is None or run.task is not task or not run.body_is_due:
        with running(task, directly(task, args, kwargs)):
            yield
        return
    run.body_is_due = False  # a body that calls its task once more begins another run
    try:
        yield
    finally:
        run.body_is_due = True


def directly(task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Context:
    """The context of a call that no message asked for."""
    return Context.of(TaskMessage(id="", task=task.name, args=args, kwargs=kwargs))


def sender() -> Context | None:
    """The run that is the parent of what is sent here: the innermost that has an id."""
    run = _innermost.get()
    while run is not None:
        if run.context.id:
            return run.context
        run = run.outer
    return None


def sent_here(result: Sent) -> Sent:
    """Note that the run under way has sent this, for its `request.children`."""
    if parent := sender():
        parent.children.append(result)
    return result


def running_task() -> Task[..., Any] | None:
    """The task whose body is being run here."""
    run = _innermost.get()
    return None if run is None else run.task


class CurrentTask:
    """Stands for whatever task is running where it is asked; false, and without attributes, where none is."""

    def __getattr__(self, name: str) -> Any:
        task = running_task()
        if task is None:
            raise AttributeError(
                f"No task is running here: current_task has no {name!r}. Ask `if current_task:` first."
            )
        return getattr(task, name)

    def __bool__(self) -> bool:
        return running_task() is not None

    def __repr__(self) -> str:
        return repr(running_task())


current_task = CurrentTask()
