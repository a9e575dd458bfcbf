"""Waiting for a task inside a task: refused, because all workers may be waiting so for what none is left to run.

Whoever runs a body says so here, because results may not ask what runs them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_forbidden: ContextVar[bool] = ContextVar("django_tasks_joining_forbidden", default=False)


@contextlib.contextmanager
def _joining(forbidden: bool) -> Iterator[None]:
    token = _forbidden.set(forbidden)
    try:
        yield
    finally:
        _forbidden.reset(token)


def no_join_result() -> contextlib.AbstractContextManager[None]:
    """The block is a task's body."""
    return _joining(True)


def allow_join_result() -> contextlib.AbstractContextManager[None]:
    """Within this block a task may wait for another one, at its own risk (Celery's name)."""
    return _joining(False)


def is_inside_task() -> bool:
    """Is this a task's body, where waiting is refused?"""
    return _forbidden.get()


def refuse_to_join(id: str) -> None:
    """Raises `RuntimeError` inside a task's body."""
    if is_inside_task():
        raise RuntimeError(
            f"Never call result.get() within a task! Task {id} is not ready, and this one would hold its place in the "
            "worker while it waits. Let the other task do what follows, or send a third one; if there are workers to "
            "spare, wait inside `with allow_join_result():`."
        )
