"""How fast it is: `python -m benchmarks.run [sqlite|postgresql|mariadb …] [--tasks N] [--rounds N]`.

Each round measures, on each database: sending one by one, in one transaction and in bulk; draining a full queue with
two processes, with the processor time of all the worker's processes; and the time from `delay()` to the first line of
the body on an idle worker. Beside each stands what the same machine does without tasks in the same round. Medians over
the rounds, with the range. Machines are noisy: compare the ratios.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "django_tasks_benchmark"
SERVERS = {
    "postgresql": os.environ.get("BENCH_POSTGRESQL", f"psql://postgres@127.0.0.1:5432/{NAME}"),
    "mariadb": os.environ.get("BENCH_MARIADB", f"mysql://root@127.0.0.1:3306/{NAME}"),
}


def main() -> None:
    arguments = _arguments()
    if arguments.inside:
        _measure(arguments.tasks)
        return
    for database in arguments.databases or ["sqlite", *SERVERS]:
        with tempfile.TemporaryDirectory() as folder:
            url = SERVERS.get(database, f"sqlite:///{folder}/bench.sqlite3")
            rounds = [
                fresh_round("benchmarks.run", url, "--tasks", str(arguments.tasks))
                for _ in range(arguments.rounds)
            ]
        show(database, rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("databases", nargs="*", metavar="sqlite|postgresql|mariadb", help="Default: all.")
    parser.add_argument("--tasks", type=int, default=20_000, help="Tasks to drain per round.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def fresh_round(module: str, url: str, *arguments: str) -> dict[str, float]:
    """One round in a fresh process, on fresh tables."""
    ended = subprocess.run(
        [sys.executable, "-m", module, "--inside", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "benchmarks.project.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name: float(value) for name, value in (line.split("\t") for line in ended.stdout.splitlines())}


def show(database: str, rounds: list[dict[str, float]]) -> None:
    print(f"\n{database}, {len(rounds)} rounds: median [min-max]")
    for name in rounds[0]:
        values = [found[name] for found in rounds]
        print(f"  {name:<58} {statistics.median(values):>10,.1f}  [{min(values):,.1f}-{max(values):,.1f}]")


# -- one round, inside its own process


def _measure(tasks: int) -> None:
    import django

    django.setup()
    make_database()
    _sending(tasks)
    _draining(tasks)
    _latency(samples=200)


def make_database() -> None:
    from django.core.management import call_command
    from django.db import connection

    name = connection.settings_dict["NAME"]
    if connection.vendor != "sqlite":
        server = {"postgresql": "postgres"}.get(connection.vendor, "")
        connection.settings_dict["NAME"] = server
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        connection.settings_dict["NAME"] = name
    else:
        for path in Path(name).parent.glob(f"{Path(name).name}*"):
            path.unlink()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")  # what the worker would set at its start
    call_command("migrate", verbosity=0, run_syncdb=True)


def say(name: str, value: float) -> None:
    print(f"{name}\t{value}", flush=True)


def _rate(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def _sending(tasks: int) -> None:
    from django.db import transaction

    from benchmarks.project.models import Row
    from benchmarks.project.tasks import add

    def raw(number: int) -> None:
        with transaction.atomic():
            Row(id=f"a{number}", text="x" * 900).save(force_insert=True)
            Row(id=f"b{number}", text="x" * 900).save(force_insert=True)

    def together(send: Callable[[int], object]) -> None:
        with transaction.atomic():
            for number in range(1_000):
                send(number)

    few = 1_000
    raw(-1), add.delay(-1, 1)  # connections open, code warm
    say("two ORM inserts in a transaction /s", _rate(few, lambda: [raw(n) for n in range(few)]))
    say("delay() one by one /s", _rate(few, lambda: [add.delay(n, 1) for n in range(few)]))
    say("delay() in one transaction /s", _rate(few, lambda: together(lambda n: add.delay(n, 1))))
    rows = [Row(id=f"c{number}", text="x" * 900) for number in range(2 * tasks)]
    say("two rows by bulk_create /s", _rate(tasks, lambda: Row.objects.bulk_create(rows, batch_size=500)))
    say("bulk() /s", _rate(tasks, lambda: add.bulk([(number, 1) for number in range(tasks)])))


def start_worker(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "django", "runworker", "--processes=2", "--loglevel=error", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def _draining(tasks: int) -> None:
    """The rate between the first body and the last ending, as the rows say; the boot is not in it."""
    from django.db.models import Max, Min

    from django_tasks.models import TaskResult

    waiting = TaskResult.objects.waiting().count()
    worker = start_worker("--burst")
    _, status, used = os.wait4(worker.pid, 0)
    if status:
        raise SystemExit(f"the worker ended with {status}")
    span: dict[str, Any] = TaskResult.objects.aggregate(first=Min("started_at"), last=Max("finished_at"))
    done = TaskResult.objects.filter(status="SUCCESS").count()
    if done != waiting:
        raise SystemExit(f"{done} of {waiting} tasks succeeded")
    say("drain, tracked, 2 processes /s", done / (span["last"] - span["first"]).total_seconds())
    say("worker CPU per task, all processes, boot included, µs", 1e6 * (used.ru_utime + used.ru_stime) / done)


def _latency(samples: int) -> None:
    from benchmarks.project.tasks import arrive

    worker = start_worker()
    try:
        arrive.delay().get(timeout=30)
        spans = sorted(_one_latency(arrive) for _ in range(samples))
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait()
    say("latency p50, idle worker, ms", 1e3 * spans[len(spans) // 2])
    say("latency p95, idle worker, ms", 1e3 * spans[int(len(spans) * 0.95)])


def _one_latency(arrive: Any) -> float:
    sent = time.time()
    reached: float = arrive.delay().get(timeout=30)
    return reached - sent


if __name__ == "__main__":
    main()
