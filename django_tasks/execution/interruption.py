"""Interrupting a coroutine: an exception of ours, raised at the `await` where its body waits.

What asyncio can do is to cancel. A body that is told so would not know why, and an exception of another kind would pass
by those who must clean up when they are cancelled (task groups, time-outs). So what is raised is both.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

from django_tasks.exceptions import SoftTimeLimitExceeded

#: Makes a block in which the body is interrupted when its time is over.
Limit = Callable[[], AbstractContextManager[None]]


class Interrupted(SoftTimeLimitExceeded, asyncio.CancelledError):
    """A soft time limit to the body, a cancellation to what it waits for."""


_interruptions: WeakKeyDictionary[asyncio.Task[Any], Interrupted] = WeakKeyDictionary()


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """In the block, an `interruptible` body is interrupted when so many seconds have passed."""
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(
        seconds, interrupt, task, Interrupted("The soft time limit has passed.")
    )
    try:
        yield
    except Interrupted as error:
        # Of the two it is, the one that can be told of and read back.
        raise SoftTimeLimitExceeded(*error.args).with_traceback(error.__traceback__) from None
    finally:
        timer.cancel()
        _interruptions.pop(task, None)


def interrupt(task: asyncio.Task[Any], why: Interrupted) -> None:
    """Have `why` raised where the body of `task` waits; in the thread of its loop."""
    _interruptions[task] = why
    task.cancel()


@types.coroutine
def interruptible(body: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await `body`, and turn a cancellation into the interruption that it stands for, if it does."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            awaited = body.send(answer) if error is None else body.throw(error)
        except StopIteration as end:
            return end.value
        answer = error = None
        try:
            answer = yield awaited
        except asyncio.CancelledError as cancelled:
            error = _take_interruption() or cancelled
        except BaseException as raised:  # noqa: BLE001 - it is the body's
            error = raised


def _take_interruption() -> Interrupted | None:
    task = asyncio.current_task()
    why = None if task is None else _interruptions.pop(task, None)
    if why is not None and task is not None:
        task.uncancel()
    return why
