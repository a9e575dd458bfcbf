"""SQLite, made fit for several processes, on the worker's own connections.

Readers and one writer at a time (WAL), a commit that need not wait for the disk (`synchronous=NORMAL`, safe with
WAL), transactions that say from the start that they will write (IMMEDIATE: one that finds out later cannot wait, it
fails), and writers that wait for each other. Whatever the project has set itself stays.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_tasks import clock

#: Seconds that a writer waits for another.
PATIENCE = 30.0
#: Milliseconds of that which SQLite waits by itself. It asks ever more seldom, at last ten times a second: of several
#: busy writers one may not come to its turn for seconds. So it is told to give up soon, and is asked again.
BUSY_TIMEOUT = 10


def prepare_connections() -> None:
    """From now on, in this process and its children."""
    connection_created.connect(_prepare, dispatch_uid="django_tasks.worker.sqlite")


def _prepare(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor != "sqlite":
        return
    options = connection.settings_dict["OPTIONS"]
    said = str(options.get("init_command", "")).lower()
    with connection.cursor() as cursor:
        for pragma, value in {"journal_mode": "WAL", "synchronous": "NORMAL"}.items():
            if pragma not in said:
                cursor.execute(f"PRAGMA {pragma} = {value}")
        if "busy_timeout" not in said:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    if "transaction_mode" not in options:
        connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]
    if wait_for_turn not in connection.execute_wrappers:
        connection.execute_wrappers.append(wait_for_turn)


def wait_for_turn(
    execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Run a statement, and again if it found the database locked and nothing had happened yet."""
    connection = context["connection"]
    timeout = connection.settings_dict["OPTIONS"].get("timeout", PATIENCE)
    ends = clock.monotonic() + timeout
    while True:
        try:
            return execute(sql, parameters, many, context)
        except OperationalError as error:
            # Inside a transaction the lock is ours, or the view is stale and waiting would not help.
            if "locked" not in str(error) or connection.in_atomic_block or clock.monotonic() > ends:
                raise
        time.sleep(random.uniform(0, 0.002))
