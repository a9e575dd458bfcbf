"""Database connections around a task, handled as Django handles them around a request."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_thread = threading.local()


class fresh_connections:  # noqa: N801 - a context manager, used as a function
    """Before: no query log of others, no connection that is broken or past `CONN_MAX_AGE`. After: the same again.

    So a persistent or a pooled connection serves many tasks, and one that the database dropped serves none.
    """

    def __enter__(self) -> Self:
        # Those that the thread's last task left. Asking Django for them costs more than a small task does.
        left: list[BaseDatabaseWrapper] = getattr(_thread, "connections", [])
        for connection in left:
            connection.queries_log.clear()
            connection.close_if_unusable_or_obsolete()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        _thread.connections = connections.all(initialized_only=True)
        for connection in _thread.connections:
            connection.close_if_unusable_or_obsolete()


def refresh(*, is_idle: bool) -> None:
    """The same for a thread that many coroutines share, called when one of them begins or ends.

    A connection that is broken is closed at once. One past its `CONN_MAX_AGE` is closed while the thread `is_idle`:
    another coroutine may be in the middle of reading from it.
    """
    for connection in connections.all(initialized_only=True):
        connection.queries_log.clear()
        if is_idle:
            connection.close_if_unusable_or_obsolete()
        elif connection.errors_occurred and not connection.in_atomic_block:
            if connection.is_usable():
                connection.errors_occurred = False
            else:
                connection.close()
