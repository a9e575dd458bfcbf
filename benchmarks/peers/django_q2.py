"""django-q2, with its ORM broker."""

from typing import Any

from benchmarks.system import INSIDE, System

SYSTEMS = [
    System(
        family="django-q2",
        module=__name__,
        packages=("django-q2", "Django", "django-environ", "psycopg[binary]"),
        database="postgresql",
        keeps=True,
        pace=250,
        quick=True,
        says="ORM broker, 2 workers, the rest as installed",
    )
]
TOGETHER = True


def django(system: System, broker: str) -> dict[str, Any]:
    cluster = {
        "name": "bench",
        "orm": "default",
        "workers": 2,
        "timeout": 60,
        "retry": 120,
        "log_level": "WARNING",
    }
    return {"INSTALLED_APPS": ["django_q"], "Q_CLUSTER": cluster}


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    return [["-m", "django", "qcluster"]] if (processes, threads) == (2, 1) else []


if INSIDE:
    from django_q.tasks import async_task

    from benchmarks import bodies

    add, nap = bodies.add, bodies.nap

    def send(task: Any, *arguments: Any) -> None:
        async_task(task, *arguments)
