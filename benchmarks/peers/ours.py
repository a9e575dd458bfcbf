"""This project. Tracked: a row for each task, claimed, and its result stored; untracked: fire and forget."""

import datetime as dt
import time
from typing import Any

from benchmarks.system import INSIDE, OURS, System

_HERE: dict[str, Any] = {"family": OURS, "module": __name__, "quick": True}
_UNTRACKED = {**_HERE, "database": "postgresql", "variant": "untracked", "says": "ignore_result=True"}
SYSTEMS = [
    System(**_HERE, database="sqlite", keeps=True, pace=10_000),
    System(**_HERE, database="postgresql", keeps=True, pace=8_000),
    System(**_HERE, database="mariadb", keeps=True, pace=4_000),
    System(**_HERE, broker="redis", database="postgresql", keeps=True, pace=4_000),
    System(**_HERE, broker="rabbitmq", database="postgresql", keeps=True, pace=4_000),
    System(**_UNTRACKED, broker="redis", pace=4_000),
    System(**_UNTRACKED, broker="rabbitmq", pace=5_000),
]
TOGETHER = True
#: How a database is made to know its rows, and on PostgreSQL to tidy up after them, as it does by itself in time.
TIDIED = {
    "postgresql": "VACUUM ANALYZE",
    "mysql": "ANALYZE TABLE django_tasks_taskresult",
    "sqlite": "ANALYZE",
}


def django(system: System, broker: str) -> dict[str, Any]:
    options = {"BROKER_URL": broker or "django://", "IMPORTS": [__name__]}
    return {
        "INSTALLED_APPS": ["django_tasks", "benchmarks.project"],
        "DJANGO_TASKS": {**options, "TASK_IGNORE_RESULT": not system.keeps},
    }


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    options = [f"--processes={processes}", f"--threads={threads}", "--loglevel=warning"]
    return [["-m", "django", "runworker", *options]]


if INSIDE:
    from django.db import connection, transaction
    from django.utils import timezone

    from benchmarks import bodies
    from django_tasks import chord, task
    from django_tasks.models import QueuedMessage, TaskResult
    from django_tasks.worker.rollups import Rollups

    add = task(bodies.add)
    nap = task(bodies.nap)

    def send(task: Any, *arguments: Any) -> None:
        task.delay(*arguments)

    def bulk(task: Any, calls: list[tuple[Any, ...]]) -> None:
        task.bulk(calls)

    def python_alone(tasks: int) -> float:
        """The processor time of sending one, in microseconds, if statements are made but not executed."""
        with transaction.atomic(), connection.execute_wrapper(lambda *statement: None):
            began = time.process_time()
            for number in range(tasks):
                add.delay(number, 1)
            return 1e6 * (time.process_time() - began) / tasks

    def history(count: int) -> None:
        """That many tasks that have ended, long ago: what the housekeeper and the database do after them was done."""
        for first in range(0, count, 10_000):
            add.bulk([(0, 1)] * min(10_000, count - first))
            QueuedMessage.objects.all().delete()
            ended = timezone.now() - dt.timedelta(hours=1)
            TaskResult.objects.filter(finished_at=None).update(
                status="SUCCESS", started_at=ended, finished_at=ended
            )
        counting = Rollups()
        while counting.turn() is not None:
            pass
        with connection.cursor() as cursor:
            cursor.execute(TIDIED[connection.vendor])

    @task
    def count(numbers: list[int]) -> int:
        return len(numbers)

    def send_chord(size: int) -> None:
        chord((add.s(number, 1) for number in range(size)), count.s()).delay()

    def check_chord(size: int) -> None:
        body = TaskResult.objects.get(task=count.name)
        assert body.status == "SUCCESS", f"the body of {size} is {body.status}"

    def settled() -> bool:
        # By an index, whatever has ended before: this is part of the time that is measured.
        return not TaskResult.objects.exclude(status="SUCCESS").exists()
