"""Running one task: from a request to its outcome. Whatever the task does, this returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from asgiref.sync import async_to_sync

from django_tasks import registry
from django_tasks.definition.request import running
from django_tasks.definition.task import Task
from django_tasks.results.joining import no_join_result

from . import prints
from .connections import fresh_connections
from .outcome import Outcome, Reported, Request
from .run import Run


def execute(
    request: Request,
    *,
    is_eager: bool = False,
    limit: Callable[[], AbstractContextManager[None]] | None = None,
    report: Callable[[Reported], object] | None = None,
) -> Outcome:
    """`limit` makes what interrupts the body when its time is over; `report` takes the states that it shows."""
    try:
        task = registry.find(request.message.task)
    except Exception as error:  # noqa: BLE001 - a broken tasks module, or none
        return Run(request, None).failed(error)
    if task.is_async:
        _refuse_own_loop(task)
        return async_to_sync(execute_async)(request, is_eager=is_eager, limit=limit, report=report)
    run = Run(request, task, report)
    context = run.context(is_eager=is_eager)
    # Run where it is sent, the task shares its caller's connections, transaction and all.
    with (
        nullcontext() if is_eager else fresh_connections(),
        nullcontext() if is_eager else no_join_result(),
        running(task, context),
    ):
        try:
            return run.to_its_end(context, limit or nullcontext)
        finally:
            prints.end_line()


async def execute_async(
    request: Request,
    *,
    is_eager: bool = False,
    limit: Callable[[], AbstractContextManager[None]] | None = None,
    report: Callable[[Reported], object] | None = None,
) -> Outcome:
    """`execute` for a task whose body is a coroutine. Connections are for the event loop to look after."""
    task = registry.find(request.message.task)
    run = Run(request, task, report)
    context = run.context(is_eager=is_eager)
    with nullcontext() if is_eager else no_join_result(), running(task, context):
        try:
            return await run.to_its_end_async(context, limit or nullcontext)
        finally:
            prints.end_line()


def _refuse_own_loop(task: Task[..., Any]) -> None:
    """Raises `RuntimeError` in a running event loop: it cannot wait for what it would have to run itself."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{task.name} is a coroutine and is run where it is sent, but the event loop here cannot run it while it "
        "waits for it. Write `await task.adelay(...)`, or `await sync_to_async(task.apply)(...)`."
    )
