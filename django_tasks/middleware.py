"""Middleware around sending and around executing, in the shape of Django's: a factory that is given what comes next.

    # settings: DJANGO_TASKS = {"SEND_MIDDLEWARE": ["shop.tasking.stamp"], "EXECUTE_MIDDLEWARE": ["shop.tasking.timed"]}

    def stamp(send):
        def middleware(message):
            return send(replace(message, headers={**message.headers, "tenant": current_tenant()}))
        return middleware

    def timed(execute):
        def middleware(message):
            with stopwatch(message.task):
                return execute(message)
        return middleware

Both take a `TaskMessage`. Around sending it is answered with the message to send, around executing with the result of
the body; of a message that is changed before executing, only `args` and `kwargs` count. The first of the list is the
outermost. One that does not call what comes next answers in its place, and one that raises stops the sending or fails
the task.

As in Django, what comes next may be a coroutine function: around the body of an `async def` task it is. A factory that
does something after the body looks with `iscoroutinefunction(execute)`, and then returns one, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import isawaitable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed

from .handlers import resolve

Handler = Callable[[Any], Any]


@cache
def chain(setting: str, paths: tuple[str, ...], innermost: Handler) -> Handler:
    """`innermost` with all of `paths` around it. Each factory is called once per process.

    A factory that raises Django's `MiddlewareNotUsed` is left out.
    """
    handler = innermost
    for path in reversed(paths):
        try:
            made = resolve(path, setting=setting)(handler)
        except MiddlewareNotUsed:
            continue
        if not callable(made):
            raise ImproperlyConfigured(
                f"DJANGO_TASKS[{setting!r}]: {path!r} must return a callable that takes a message, not {made!r}."
            )
        handler = _awaited(made) if iscoroutinefunction(handler) and not iscoroutinefunction(made) else made
    return handler


def _awaited(made: Handler) -> Handler:
    """A coroutine function of one that passes on what it got: the next factory looks at it as well."""

    async def through(message: Any) -> Any:
        answer = made(message)
        return await answer if isawaitable(answer) else answer

    return through
