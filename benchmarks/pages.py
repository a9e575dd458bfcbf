"""How long the admin's pages take on a site with a long past: `python -m benchmarks.pages [database URL …]`.

Each page is asked for in this process (`Client.get`), five times after a first one. The table has the median, in
milliseconds; how much of it this process was at work, which a busy machine changes little; and the number of queries
without the user's. A database is filled once and kept: name one that may be.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from django.test import Client

HOME = Path(__file__).resolve().parents[1] / ".bench"
ROWS = 1_000_000
TIMES = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument(
        "databases", nargs="*", default=[f"sqlite:///{HOME / 'pages.sqlite3'}"], help="URLs of databases"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help=f"Tasks that ended. Default: {ROWS:,}.")
    given = parser.parse_args()
    HOME.mkdir(exist_ok=True)
    if len(given.databases) > 1:  # Django knows one at a time
        for url in given.databases:
            subprocess.run([sys.executable, "-m", __spec__.name, url, "--rows", str(given.rows)], check=True)
        return
    _set_up(given.databases[0])
    _measure(given.rows)


def _set_up(url: str) -> None:
    os.environ.update(DATABASE_URL=url, DEBUG="false", DJANGO_SETTINGS_MODULE="testproject.settings")
    import django
    from django.conf import settings

    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "TASK_QUEUES": ["default", "mail"]}
    settings.ALLOWED_HOSTS = ["testserver"]
    django.setup()


def _measure(rows: int) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from . import history

    call_command("migrate", verbosity=0)
    history.make(rows)
    client = Client()
    client.force_login(User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)[0])
    print(f"\n| {connection.vendor}, {rows:,} tasks | ms | ms at work | queries |\n|---|---:|---:|---:|")
    for name, address in _pages():
        taken, worked = _milliseconds(client, address)
        print(f"| {name} | {taken:.0f} | {worked:.0f} | {_queries(client, address)} |", flush=True)


def _pages() -> Iterator[tuple[str, str]]:
    """Those that there are, each with its address."""
    from django.urls import NoReverseMatch, reverse

    from . import history

    task, some_id = history.TASKS[0], f"{history.OURS}{0:09}"
    asked: tuple[tuple[str, str, list[str], dict[str, str]], ...] = (
        ("overview", "overview", [], {}),
        ("overview, 7 days", "overview", [], {"period": "7d"}),
        *(
            (f"overview, only {part}", "overview", [], {"_fragment": part})
            for part in ("now", "throughput", "queues", "failures", "workers")
        ),
        ("tasks", "taskresult_changelist", [], {}),
        ("tasks that failed", "taskresult_changelist", [], {"status": "FAILURE"}),
        ("tasks of one name", "taskresult_changelist", [], {"task": task}),
        ("tasks, an id", "taskresult_changelist", [], {"q": some_id}),
        ("tasks, a word", "taskresult_changelist", [], {"q": task}),
        ("a task", "taskresult_change", [some_id], {}),
        ("failures", "failures", [], {}),
        ("groups", "taskgroup_changelist", [], {}),
        ("queues", "queues", [], {}),
        ("messages", "queuedmessage_changelist", [], {}),
        ("workers", "workers", [], {}),
        ("rows of workers", "worker_changelist", [], {}),
        *((f"performance, {key}", "performance", [], {"period": key}) for key in ("24h", "7d", "30d")),
        ("performance of a task", "performance", [], {"period": "30d", "task": task}),
        ("audit", "audit", [], {}),
    )
    for name, view, arguments, query in asked:
        try:
            path = reverse(f"admin:django_tasks_{view}", args=arguments)
        except NoReverseMatch:
            continue
        yield name, f"{path}?{urlencode(query)}" if query else path


def _milliseconds(client: Client, address: str) -> tuple[float, float]:
    """Those that passed, and those in which this process worked."""

    def once() -> tuple[float, float]:
        begun, begun_to_work = time.perf_counter(), time.process_time()
        answer = client.get(address)
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code}")
        return (time.perf_counter() - begun) * 1000, (time.process_time() - begun_to_work) * 1000

    once()
    passed, worked = zip(*(once() for _time in range(TIMES)), strict=True)
    return statistics.median(passed), statistics.median(worked)


def _queries(client: Client, address: str) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as asked:
        client.get(address)
    statements = [query["sql"] for query in asked]
    return sum(sql.startswith("SELECT") and "auth_user" not in sql for sql in statements)


if __name__ == "__main__":
    main()
