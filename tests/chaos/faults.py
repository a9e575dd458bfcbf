"""Faults that cannot be brought about from outside; a worker is told of them by its environment."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_tasks import clock

from . import points


def put_clock_off(seconds: float) -> None:
    """All that this worker's code can ask for the time of day; spans (the monotonic clock) stay right."""
    true_time, true_now = time.time, clock.now
    time.time = lambda: true_time() + seconds
    clock.now = lambda: true_now() + dt.timedelta(seconds=seconds)


def fill_disk_while(file: Path) -> None:
    """While the file is there, SQLite is refused every page that its database does not have yet: SQLITE_FULL."""

    def limit(
        execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        pages = 1 if file.exists() else 2**30  # never less than there are
        context["connection"].connection.execute(f"PRAGMA max_page_count = {pages}")
        return execute(sql, parameters, many, context)

    def prepare(connection: BaseDatabaseWrapper, **_: Any) -> None:
        connection.execute_wrappers.append(limit)

    connection_created.connect(prepare, weak=False, dispatch_uid="tests.chaos.faults")


if seconds := os.environ.get("CHAOS_CLOCK"):
    put_clock_off(float(seconds))
if file := os.environ.get("CHAOS_DISK_FULL"):
    fill_disk_while(Path(file))
if folder := os.environ.get("CHAOS_POINTS"):
    points.install(points.Folder(Path(folder)))
