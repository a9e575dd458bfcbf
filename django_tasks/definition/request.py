"""The request: whose run this is.

A run is entered with `running(task, context)`. Runs form a stack per thread and per coroutine (a context
variable), so a task that calls another one directly has its own request back afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

from django_tasks.message.message import TaskMessage

from .context import Context

if TYPE_CHECKING:
    from .task import Task

__all__ = ["Context", "current_task", "directly", "request_of", "running", "running_task", "sender"]


class running:  # noqa: N801 - it reads as a verb where it is used
    """`with running(task, context):` makes `context` the request of `task`. Each instance is for one use."""

    __slots__ = ("_token", "context", "outer", "task")

    _token: Token[running | None]
    #: The run around this one, if there is one.
    outer: running | None

    def __init__(self, task: Task[..., Any], context: Context) -> None:
        self.task = task
        self.context = context

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
