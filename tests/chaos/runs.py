"""The ledger of what really ran: a side table in a file of its own, written over a connection of its own.

Nothing that a scenario does to the tasks' database or to their broker reaches it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import (
    time,
)  # by its name: a scenario may fake the clock of a worker, and the ledger's is the true one

PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The body of a task began: which, at which attempt, when and where; and when it came to its last line."""

    task_id: str
    attempt: int
    at: float
    pid: int
    ended: float | None


_own = threading.local()


def create(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE runs "
            "(number INTEGER PRIMARY KEY, task_id TEXT, attempt INTEGER, at REAL, pid INTEGER, ended REAL)"
        )


@contextmanager
def run(task_id: str, attempt: int) -> Iterator[None]:
    """Around a body."""
    connection = _connection()
    cursor = connection.execute(
        "INSERT INTO runs (task_id, attempt, at, pid) VALUES (?, ?, ?, ?)",
        (task_id, attempt, time(), os.getpid()),
    )
    yield
    connection.execute("UPDATE runs SET ended = ? WHERE number = ?", (time(), cursor.lastrowid))


def read(path: Path) -> list[Run]:
    """All runs, in the order in which they began."""
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        rows = connection.execute(
            "SELECT task_id, attempt, at, pid, ended FROM runs ORDER BY number"
        ).fetchall()
    return [Run(task_id=id, attempt=attempt, at=at, pid=pid, ended=end) for id, attempt, at, pid, end in rows]


def count(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM runs").fetchone()[0])


def _connection() -> sqlite3.Connection:
    """This thread's. A body runs in a task process, which forks nobody."""
    if getattr(_own, "pid", None) != os.getpid():
        connection = sqlite3.connect(os.environ["CHAOS_LEDGER"], timeout=PATIENCE, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")  # what is killed here is a process, never the machine
        _own.connection, _own.pid = connection, os.getpid()
    own: sqlite3.Connection = _own.connection
    return own
