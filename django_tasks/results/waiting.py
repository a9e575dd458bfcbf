"""Waiting for what others commit: looking again each time there may be something new."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from django_tasks import clock
from django_tasks.exceptions import TimeoutError
from django_tasks.models.watch import ENDINGS, Watch, watch
from django_tasks.service import readable

from .reading import existing

S = TypeVar("S")

#: Transactions of SQLite that lock the database from their beginning.
_LOCKING = ("IMMEDIATE", "EXCLUSIVE")
#: Seconds after which a waiter looks by itself: a notice may be lost.
_LOOK_ANYWAY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(Generic[S]):
    """What is waited for, and how one sees how far it is. `late` says so in words, for when the time is up."""

    name: str
    look: Callable[[BaseDatabaseWrapper], S]
    #: What must be committed, so that a worker can see it.
    rows: Iterable[QuerySet[Any]]
    late: Callable[[S], str]


def looks(alias: str, awaited: Awaited[S], *, timeout: float | None, interval: float | None) -> Generator[S]:
    """What can be seen now, and then each time there may be something new, until the asker has seen enough.

    Raises `TimeoutError` after `timeout` seconds, and `RuntimeError` if there will never be anything new.
    """
    ends = None if timeout is None else clock.monotonic() + timeout
    seen = awaited.look(connections[alias])
    yield seen
    with (
        _outside_transactions(alias, awaited) as connection,
        contextlib.closing(watch(connection, ENDINGS)) as notices,
    ):
        while True:
            before, seen = seen, awaited.look(connection)
            if seen != before:
                notices.found(True)
            yield seen
            left = None if ends is None else ends - clock.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(awaited.late(seen))
            _pause(notices, interval, left)


@contextlib.contextmanager
def _outside_transactions(alias: str, awaited: Awaited[S]) -> Iterator[BaseDatabaseWrapper]:
    """A connection that sees what others commit: this thread's, unless a transaction holds its view still."""
    connection = connections[alias]
    if not connection.in_atomic_block and connection.get_autocommit():
        yield connection
        return
    if connection.vendor == "sqlite" and getattr(connection, "transaction_mode", None) in _LOCKING:
        raise RuntimeError(
            f"get() inside this transaction would wait for ever for {awaited.name}: on SQLite no worker can write "
            "before it ends. Call get() after the transaction.atomic() block."
        )
    other = connection.copy()
    try:
        if any(existing(connection, rows) - existing(other, rows) for rows in awaited.rows):
            raise RuntimeError(
                f"What get() was called for, {awaited.name}, is sent when this transaction commits, so inside of it "
                "get() would wait for ever. Call get() after the transaction.atomic() block."
            )
        yield other
    finally:
        other.close()


def _pause(notices: Watch, interval: float | None, left: float | None) -> None:
    """Until something ended somewhere, or it is time to look anyway."""
    wanted = _LOOK_ANYWAY if interval is None else interval
    seconds = wanted if left is None else min(wanted, left)
    if interval is None:
        notices.wait(seconds)
    else:
        readable([], seconds)
