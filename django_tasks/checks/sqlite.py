"""What makes SQLite unfit for several processes.

What the project leaves open, a worker sets for its own connections (worker/sqlite.py). What the project has
set stays, right or wrong, and is looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Warning, register

from django_tasks import conf
from django_tasks.brokers.handler import broker

from .settings import TAG, broker_can_be_asked

JOURNAL_MODE = re.compile(r"journal_mode\s*[=(]\s*['\"]?(\w+)", re.IGNORECASE)


@register(TAG)
def file(**_: Any) -> list[CheckMessage]:
    return [
        Warning(
            f"The database {alias!r} is in memory: a worker is another process and sees nothing of it.",
            hint=f"Give DATABASES[{alias!r}]['NAME'] the path of a file.",
            id="django_tasks.W002",
        )
        for alias, database in _databases().items()
        if _is_in_memory(str(database["NAME"]))
    ]


@register(TAG)
def options(**_: Any) -> list[CheckMessage]:
    return [
        Warning(
            f"DATABASES[{alias!r}]['OPTIONS'] set {fault}.",
            hint=f"{remedy}, or leave it out: a worker sets what it needs on its own connections.",
            id="django_tasks.W003",
        )
        for alias, database in _databases().items()
        for fault, remedy in _faults(database.get("OPTIONS", {}))
    ]


def _databases() -> dict[str, Any]:
    """Those of the tasks and of their messages, by alias, if they are SQLite."""
    if not broker_can_be_asked():
        return {}
    aliases = dict.fromkeys((conf.current().DATABASE, broker().alias))
    found = {alias: django_settings.DATABASES[alias] for alias in aliases}
    return {alias: database for alias, database in found.items() if database["ENGINE"].endswith("sqlite3")}


def _is_in_memory(name: str) -> bool:
    # Not those that Django's test runner makes: whoever tests in memory starts no workers.
    return (":memory:" in name or "mode=memory" in name) and not name.startswith("file:memorydb_")


def _faults(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What makes site and workers fail on each other, and what to write instead."""
    modes = JOURNAL_MODE.findall(str(options.get("init_command", "")))
    if modes and modes[-1].lower() != "wal":
        yield (
            f"journal_mode to {modes[-1]}: while one process writes, no other can read",
            "Write PRAGMA journal_mode=WAL in init_command",
        )
    timeout = options.get("timeout")
    if isinstance(timeout, int | float) and timeout < 1:
        yield (
            f"timeout to {timeout} seconds: a process that meets a writer gives up with 'database is locked'",
            "Set it to 20",
        )
    mode = options.get("transaction_mode", "IMMEDIATE")
    if mode not in ("IMMEDIATE", "EXCLUSIVE"):
        yield (
            f"transaction_mode to {mode!r}: a transaction that reads first can't wait for a writer, it fails",
            "Set it to 'IMMEDIATE'",
        )
