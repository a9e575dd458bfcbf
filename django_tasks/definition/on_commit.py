"""Sending on commit, for callers that prefer functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ParamSpec, TypeVar, Unpack

from django_tasks.results.async_result import AsyncResult

from .options import CallOptions
from .task import Task

P = ParamSpec("P")
R = TypeVar("R")


def delay_on_commit(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
    """The same as `task.delay_on_commit(...)`."""
    return task.delay_on_commit(*args, **kwargs)


def apply_async_on_commit(
    task: Task[..., R],
    /,
    args: list[Any] | tuple[Any, ...] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    using: str | None = None,
    robust: bool = False,
    **options: Unpack[CallOptions],
) -> AsyncResult[R]:
    """The same as `task.apply_async_on_commit(...)`."""
    return task.apply_async_on_commit(args, kwargs, using=using, robust=robust, **options)
