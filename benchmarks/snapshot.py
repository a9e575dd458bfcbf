"""What a snapshot held open costs, as the dead rows pile up: `python -m benchmarks.snapshot [--steps N …] [--without]`.

On PostgreSQL a transaction that somebody leaves open (a report, a backup, a forgotten shell) keeps every row that is
deleted or changed after it began, and whoever looks for the next message may have to pass over all of them. Step by
step so many tasks are run in all, under one open snapshot. Then, with a thousand waiting: how long it takes to look up
and lock the next 50 messages, from the very beginning of the queue and from the place that a consumer remembers, and
to claim 50 rows; medians. Beside them stands the rate at which the step was drained.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from .bench import ROOT
from .services import NAME, PostgreSQL
from .system import INSIDE

URL = os.environ.get("BENCH_POSTGRESQL", f"psql://postgres@127.0.0.1:5432/{NAME}")
STEPS = (0, 50_000, 200_000, 500_000)
#: What is claimed at a time, and what waits meanwhile.
BATCH, WAITING = 50, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.snapshot", description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--without", action="store_true", help="The same without a snapshot, to compare.")
    arguments = parser.parse_args()
    if INSIDE:
        with snapshot(is_held=not arguments.without):
            _measure(arguments.steps)
        return
    service = PostgreSQL(URL)
    service.empty()
    try:
        for command in (["-m", "django", "migrate", "--verbosity=0", "--run-syncdb"], [*sys.orig_argv[1:]]):
            subprocess.run([sys.executable, *command], cwd=ROOT, env=os.environ | _inside(), check=True)
    finally:
        service.remove()


def _inside() -> dict[str, str]:
    """The environment in which our system is at home."""
    from .peers import ours

    system = next(system for system in ours.SYSTEMS if system.database == "postgresql" and not system.broker)
    return {
        "BENCH_SYSTEM": system.name,
        "BENCH_SETTINGS": json.dumps(ours.django(system, "")),
        "DATABASE_URL": URL,
        "DJANGO_SETTINGS_MODULE": "benchmarks.project.settings",
    }


@contextmanager
def snapshot(*, is_held: bool) -> Iterator[None]:
    import django
    from django.db import connection

    django.setup()
    if not is_held:
        yield
        return
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")
    try:
        yield
    finally:
        other.close()


def _measure(steps: list[int]) -> None:
    from django.db import connection

    from django_tasks.models import QueuedMessage, TaskResult

    from .peers import ours

    print(f"{'run before':>12} {'drained /s':>12} {'lock, ms':>10} {'from the place':>15} {'claim, ms':>10}")
    done = 0
    for step in steps:
        ours.bulk(ours.count, [([],)] * (step - done))
        rate, done = _drain(), step
        ours.bulk(ours.count, [([],)] * WAITING)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as the server does by itself, sooner or later
        first = QueuedMessage.objects.order_by("priority", "sent_at")[0]
        place = (first.priority, first.sent_at)
        ids = [str(row.pk) for row in TaskResult.objects.waiting()[:BATCH]]
        figures = (
            _median(partial(QueuedMessage.objects.lock_next, "default", BATCH, 10**6)),
            _median(partial(QueuedMessage.objects.lock_next, "default", BATCH, 10**6, place)),
            _median(partial(TaskResult.objects.claim, ids, "benchmark")),
        )
        lock, from_place, claim = (1e3 * seconds for seconds in figures)
        print(f"{step:>12,} {rate:>12,.0f} {lock:>10.1f} {from_place:>15.1f} {claim:>10.1f}", flush=True)


def _drain() -> float:
    from django_tasks.models import TaskResult

    began, waiting = time.perf_counter(), TaskResult.objects.waiting().count()
    command = [sys.executable, "-m", "django", "runworker", "--burst", "--processes=2", "--loglevel=error"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return waiting / (time.perf_counter() - began)


def _median(work: Callable[[], Any]) -> float:
    """Seconds; each time in a transaction that is rolled back."""
    from django.db import transaction

    took = []
    for _ in range(21):
        with transaction.atomic():
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
            transaction.set_rollback(True)
    return statistics.median(took)


if __name__ == "__main__":
    main()
