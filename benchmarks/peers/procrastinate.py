"""Procrastinate, with its integration into Django; synchronous tasks, as the others'."""

from typing import Any

from benchmarks.system import INSIDE, System

SYSTEMS = [
    System(
        family="procrastinate",
        module=__name__,
        packages=("procrastinate[django]", "Django", "django-environ", "psycopg[binary,pool]"),
        database="postgresql",
        keeps=True,
        pace=200,
        quick=True,
        says="a worker per process, --concurrency 1; or one worker, --concurrency 8",
    )
]
TOGETHER = True


def django(system: System, broker: str) -> dict[str, Any]:
    return {
        "INSTALLED_APPS": ["procrastinate.contrib.django"],
        "PROCRASTINATE_IMPORT_PATHS": [__name__],
    }


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    return [["-m", "django", "procrastinate", "worker", "--concurrency", str(threads)]] * processes


if INSIDE:
    from procrastinate.contrib.django import app

    from benchmarks import bodies

    add = app.task(bodies.add)
    nap = app.task(bodies.nap)

    def send(task: Any, *arguments: Any) -> None:
        task.defer(**_keywords(arguments))

    def bulk(task: Any, calls: list[tuple[Any, ...]]) -> None:
        task.batch_defer(*(_keywords(call) for call in calls))

    def _keywords(arguments: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(("x", "y", "ballast"), arguments, strict=False))
