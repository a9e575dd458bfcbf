"""Many tasks of every kind through one worker, while it is watched whether anything of it grows."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db import connection, transaction

from django_tasks import chain
from django_tasks.models import TaskResult
from tests.workers import RunningWorker

from .result import Result
from .stage import Stage, scaled
from .tasks import bang, nothing, nothing_async, nothing_at_second

#: Tasks in all; half of them in processes of one thread, half in processes of four.
NUMBER = scaled(5_000, 200_000)
#: Sent at a time: a worker with all of them waiting takes ever larger batches, and keeps the memory of the largest.
WAVE = scaled(500, 5_000)
#: The share of them after which everything that is made once has been made.
WARM = 0.5
#: kB that all processes together may grow over 1,000 tasks. What keeps 100 bytes of each task grows by 98. After few
#: tasks they still grow by themselves, with their batches: at small scale only what keeps much of each task is found.
GROWTH = scaled(8_000, 80)
#: Seconds between looks.
PACE = scaled(0.02, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a worker's processes had when so many tasks had ended. Memory in kB."""

    ended: int
    memory: int
    files: int
    threads: int
    connections: int


def leak_nothing(stage: Stage) -> Result:
    figures = []
    for threads in (1, 4):
        began = TaskResult.objects.final().count()
        # The debug hooks of the tests' other workers have a memory of their own.
        worker = stage.worker(
            "--processes=2",
            f"--threads={threads}",
            "--loglevel=critical",
            PYTHONDEVMODE="",
            PYTHONWARNINGS="",
        )
        samples: list[Sample] = []
        for _ in range(NUMBER // 2 // WAVE):
            send(stage, WAVE)
            samples += watch(stage, worker)
        worker.terminate()
        assert worker.wait() == 0
        warm = [sample for sample in samples if sample.ended > began + WARM * NUMBER / 2]
        grows = slope([sample.ended / 1000 for sample in warm], [sample.memory for sample in warm])
        figures.append(f"{threads} threads: {grows:+.0f} kB per 1,000 tasks, {shown(warm)}")
        print(figures[-1], *samples, sep="\n")
        assert grows < GROWTH
        assert_flat(warm, lambda sample: sample.files)
        assert_flat(warm, lambda sample: sample.threads)
        # Each process one for its claims, one for its coroutines, and one for each thread; the housekeeper a few.
        assert max(sample.connections for sample in warm) <= 2 * (2 + threads) + 5
    failed = TaskResult.objects.filter(task=bang.name, status="FAILURE").count()
    assert failed == NUMBER // 10
    return stage.result(
        14,
        "many tasks: sync and async, failing, retried, in chains",
        recovery=0.0,
        figures="; ".join(figures),
        silent=True,
    )


def send(stage: Stage, number: int) -> None:
    """Of ten tasks five do nothing, two are coroutines, one fails, one is retried, and one is half of a chain."""
    for _ in range(number // 500):
        for kind, share in ((nothing, 250), (nothing_async, 100), (nothing_at_second, 50)):
            stage.send(kind, [()] * share)
        bang.bulk([()] * 50)
        with transaction.atomic():
            for _ in range(25):
                last = chain(nothing.si(), nothing_async.si()).delay()
                stage.sent |= dict.fromkeys((last.id, last.parent.id), False)


def watch(stage: Stage, worker: RunningWorker) -> list[Sample]:
    """Until all have ended."""
    samples = []
    while not stage.all_ended():
        family = [worker.process.pid, *worker.children()]
        samples.append(
            Sample(
                ended=TaskResult.objects.final().count(),
                memory=sum(map(_own_memory, family)),
                files=sum(map(_entries("fd"), family)),
                threads=sum(map(_entries("task"), family)),
                connections=connections(),
            )
        )
        time.sleep(PACE)
    return samples


def _own_memory(pid: int) -> int:
    """Without what it maps of files: on a busy machine SQLite's log grows, and its index is mapped by all who read."""
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("RssAnon:")), 0)
    return 0


def _entries(folder: str) -> Callable[[int], int]:
    def count(pid: int) -> int:
        with suppress(FileNotFoundError):
            return len(os.listdir(f"/proc/{pid}/{folder}"))
        return 0

    return count


def connections() -> int:
    """Of others than us to the tasks' database, if it is a server; files of SQLite are counted with the others."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """By least squares."""
    return statistics.linear_regression(x, y).slope


def assert_flat(samples: Sequence[Sample], figure: Callable[[Sample], int]) -> None:
    """The most of the second half is not more than that of the first, but for what a moment's work takes."""
    half = len(samples) // 2
    assert max(map(figure, samples[half:])) <= max(map(figure, samples[:half])) + 4


def shown(samples: Sequence[Sample]) -> str:
    last = samples[-1]
    most = max(sample.connections for sample in samples)
    of_database = f", {most} connections at most" if most else ""
    return f"{last.memory / 1000:.0f} MB, {last.files} files, {last.threads} threads{of_database}"
