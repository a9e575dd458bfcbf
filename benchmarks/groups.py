"""What a chord costs per task of its header, whatever its size: `python -m benchmarks.groups [sqlite …] [--sizes N …]`.

Of each size one chord is sent, and run by two processes until its body has ended; figures are microseconds per task of
the header. Beside them stands the same number of tasks without a chord, sent by `bulk` and run likewise.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from .run import SERVERS, fresh_round, make_database, say, show, start_worker

SIZES = (100, 1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groups", description=__doc__)
    parser.add_argument("databases", nargs="*", metavar="sqlite|postgresql|mariadb", help="Default: all.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        _measure(arguments.sizes)
        return
    sizes = [str(size) for size in arguments.sizes]
    for database in arguments.databases or ["sqlite", *SERVERS]:
        with tempfile.TemporaryDirectory() as folder:
            url = SERVERS.get(database, f"sqlite:///{folder}/bench.sqlite3")
            rounds = [
                fresh_round("benchmarks.groups", url, "--sizes", *sizes) for _ in range(arguments.rounds)
            ]
        show(database, rounds)


def _measure(sizes: list[int]) -> None:
    import django

    django.setup()
    make_database()
    from benchmarks.project.tasks import add, count
    from django_tasks import chord

    add.delay(0, 0)  # connections open, code warm
    for size in sizes:
        _one(f"bulk of {size}", size, lambda size=size: add.bulk([(n, 1) for n in range(size)]))  # type: ignore[misc]
        handle = _one(
            f"chord of {size}",
            size,
            lambda size=size: chord((add.s(n, 1) for n in range(size)), count.s()).delay(),  # type: ignore[misc]
        )
        if handle.get(timeout=0) != size:
            raise SystemExit(f"the body of {size} came to {handle.get(timeout=0)}")


def _one(name: str, size: int, send: Callable[[], Any]) -> Any:
    from django.utils import timezone

    began, since = time.perf_counter(), timezone.now()
    sent = send()
    say(f"{name}: sending, µs per task", 1e6 * (time.perf_counter() - began) / size)
    worker = start_worker("--burst")
    _, status, used = os.wait4(worker.pid, 0)
    if status:
        raise SystemExit(f"the worker ended with {status}")
    say(f"{name}: worker CPU, boot included, µs per task", 1e6 * (used.ru_utime + used.ru_stime) / size)
    say(f"{name}: draining, µs per task", 1e6 * _span(since) / size)
    return sent


def _span(since: dt.datetime) -> float:
    """Seconds from the first body to the last ending of what was sent since then, as the rows say."""
    from django.db.models import Max, Min

    from django_tasks.models import TaskResult

    rows = TaskResult.objects.filter(created_at__gte=since, started_at__isnull=False)
    span: dict[str, Any] = rows.aggregate(first=Min("started_at"), last=Max("finished_at"))
    return float((span["last"] - span["first"]).total_seconds())


if __name__ == "__main__":
    main()
