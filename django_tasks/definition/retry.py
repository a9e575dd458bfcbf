"""Trying again: what `Task.retry` and the automatic retries have in common.

The rules are those of Celery's `Task.retry`. The next run keeps the id and everything else of this one but for what the
call changes; it waits as a row, which the settlement of this run writes together with the state RETRY.
"""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from django_tasks import conf
from django_tasks.exceptions import MaxRetriesExceededError, Retry
from django_tasks.message.message import TaskMessage
from django_tasks.message.saferepr import saferepr

from . import order
from .context import Again, Context

if TYPE_CHECKING:
    from .options import CallOptions
    from .task import Task


def retry(
    task: Task[..., Any],
    *,
    args: list[Any] | tuple[Any, ...] | None,
    kwargs: Mapping[str, Any] | None,
    exc: BaseException | None,
    max_retries: int | None,
    options: CallOptions,
) -> Retry:
    """Have the run under way followed by another one, and return what says so.

    Raises `exc` (or the exception being handled, or `Retry`) if the task was called directly, for then there is
    nobody to run it again, and `exc` or `MaxRetriesExceededError` if it was tried often enough.
    """
    context = task.request
    if context.called_directly:
        _raise_here(exc, context)
    most = task.max_retries if max_retries is None else max_retries
    if most is not None and context.retries >= most:
        if exc is not None:
            raise exc
        raise MaxRetriesExceededError(
            f"Can't retry {task.name}[{context.id}] args:{context._message.argsrepr} "
            f"kwargs:{context._message.kwargsrepr}"
        )
    if options.get("eta") is None and options.get("countdown") is None:
        options["countdown"] = task.default_retry_delay
    message = _next(task, context, args, kwargs, options)
    when, countdown = options.get("eta"), options.get("countdown")
    why = Retry(
        f"Retry at {when}" if when is not None else f"Retry in {countdown:g} s",
        exc if exc is not None else sys.exc_info()[1],
        when if when is not None else countdown,
    )
    context._retry = Again(message=message, why=why)
    return why


def _raise_here(exc: BaseException | None, context: Context) -> NoReturn:
    found = exc or sys.exc_info()[1]
    if found is not None:
        raise found
    raise Retry("Retry: the task was called directly, so nobody runs it again")


def _next(
    task: Task[..., Any],
    context: Context,
    args: list[Any] | tuple[Any, ...] | None,
    kwargs: Mapping[str, Any] | None,
    options: CallOptions,
) -> TaskMessage:
    """The message of the next run. Options that the call does not name stay as they are."""
    this = context._message
    changes = order.changes(options)
    if args is not None or kwargs is not None:
        changes["args"] = this.args if args is None else order.positional(args, kwargs)
        changes["kwargs"] = this.kwargs if kwargs is None else order.keywords(kwargs)
        hidden = (*conf.current().REDACT, *task.redact)
        changes["argsrepr"] = saferepr(changes["args"], redact=hidden)
        changes["kwargsrepr"] = saferepr(changes["kwargs"], redact=hidden)
    return dataclasses.replace(this, retries=this.retries + 1, origin="", **changes)


def automatically(task: Task[..., Any], error: BaseException) -> None:
    """Retry if the task's options say that `error` is a reason to; the run then has its successor.

    Raises `error` itself if it was tried often enough.
    """
    if not isinstance(error, task.autoretry_for or ()) or isinstance(error, task.dont_autoretry_for or ()):
        return
    arguments = dict(task.retry_kwargs or {})
    if task.retry_backoff:
        arguments["countdown"] = backoff(task, task.request.retries)
    task.retry(exc=error, throw=False, **arguments)


def backoff(task: Task[..., Any], retries: int) -> float:
    """Seconds before the next run, after `retries` of them: doubled each time, capped, and drawn by lot.

    A `retry_backoff` that is a number is the first delay, in whole seconds and at least 1 (Celery).
    """
    first = int(max(1.0, task.retry_backoff))
    # 2 ** 64 seconds are as good as any longer delay, and still a number.
    span = int(min(task.retry_backoff_max, first * 2 ** min(retries, 64)))
    return random.randrange(span + 1) if task.retry_jitter else span
