"""`@task`: makes a task of a function."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from django_tasks import registry

from .options import check_names
from .task import Task

if TYPE_CHECKING:
    from .task import AsyncTask

P = ParamSpec("P")
R = TypeVar("R")


class Maker(Protocol):
    """`@task(...)`, about to be given a function."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class BoundMaker(Protocol):
    """`@task(bind=True, ...)`: the function's first argument is the task."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


@overload
def task(
    function: Callable[P, Coroutine[Any, Any, R]], /, *, bind: Literal[False] = ..., **options: Any
) -> AsyncTask[P, R]: ...
@overload
def task(function: Callable[P, R], /, *, bind: Literal[False] = ..., **options: Any) -> Task[P, R]: ...
@overload
def task(
    function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /, *, bind: Literal[True], **options: Any
) -> AsyncTask[P, R]: ...
@overload
def task(
    function: Callable[Concatenate[Any, P], R], /, *, bind: Literal[True], **options: Any
) -> Task[P, R]: ...
@overload
def task(*, bind: Literal[True], **options: Any) -> BoundMaker: ...
@overload
def task(*, bind: Literal[False] = ..., **options: Any) -> Maker: ...
def task(function: Any = None, /, *, base: Any = Task, **options: Any) -> Any:
    """Make a task of a function.

        @task
        def add(x, y): ...

        @task(queue="mail", bind=True)
        def send(self, address): ...

    The task is an instance of a new subclass of `base`. Options (`TaskOptions`) become class attributes; so
    do other keywords, except those that look like an option misspelt.
    """
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise TypeError(f"@task: base must be a class that inherits from django_tasks.Task, not {base!r}.")
    check_names(options, dir(Task))
    if function is None:
        return functools.partial(_define, base=base, options=options)
    return _define(function, base=base, options=options)


shared_task = task
# `celery.task.task` of old: the package has the name of its decorator.
vars(task)["task"] = task


def _define(
    function: Callable[..., Any], *, base: type[Task[..., Any]], options: dict[str, Any]
) -> Task[..., Any]:
    _check_function(function, named=bool(options.get("name")))
    namespace = {
        **options,
        "run": function if options.get("bind") else staticmethod(function),
        "defined_at": registry.Source.of(function),
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
    }
    made = types.new_class(function.__name__, (base,), exec_body=lambda body: body.update(namespace))
    task: Task[..., Any] = made()
    functools.update_wrapper(task, function, updated=())
    return task


def _check_function(function: Any, *, named: bool) -> None:
    if isinstance(function, Task):
        raise TypeError(f"{function.name} is a task already: it needs @task once only.")
    addressed = hasattr(function, "__qualname__") and isinstance(getattr(function, "__module__", None), str)
    if not (callable(function) and addressed) or isinstance(function, type):
        raise TypeError(
            f"@task is for functions, not {function!r}. For a class, inherit from django_tasks.Task."
        )
    if not named and _is_nameless(function.__qualname__):
        raise TypeError(
            f"@task cannot name {function.__qualname__} in {function.__module__}: others would be named so. "
            'If a decorator returned it, use functools.wraps there; else name it: @task(name="...").'
        )


def _is_nameless(qualname: str) -> bool:
    """Whether a function at the top of a module was made inside another one: then its name says nothing."""
    return "<lambda>" in qualname or ("<locals>" in qualname and _user_frame().f_code.co_name == "<module>")


def _user_frame() -> types.FrameType:
    frame = sys._getframe()
    while frame.f_globals.get("__name__", "").startswith("django_tasks.definition.") and frame.f_back:
        frame = frame.f_back
    return frame
