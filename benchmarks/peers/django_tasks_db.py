"""django-tasks-db: Django's own tasks, in the database. It brings a package named as ours, so it must not see ours."""

from typing import Any

from benchmarks.system import INSIDE, System

_PACKAGES = ("django-tasks-db[compat]", "Django", "django-environ", "psycopg[binary]")
_HERE: dict[str, Any] = {
    "family": "django-tasks-db",
    "module": __name__,
    "packages": _PACKAGES,
    "keeps": True,
}
SYSTEMS = [
    System(**_HERE, database="postgresql", pace=300, quick=True, says="a db_worker per process"),
    System(**_HERE, database="sqlite", pace=600, quick=True, says="a db_worker per process"),
]
TOGETHER = True


def django(system: System, broker: str) -> dict[str, Any]:
    backend = {"BACKEND": "django_tasks_db.DatabaseBackend"}
    return {"INSTALLED_APPS": ["django_tasks", "django_tasks_db"], "TASKS": {"default": backend}}


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    return [["-m", "django", "db_worker"]] * processes if threads == 1 else []


if INSIDE:
    from benchmarks import bodies
    from django_tasks import task

    @task()
    def add(x: int, y: int, ballast: str = "") -> int:
        return bodies.add(x, y, ballast)

    @task()
    def nap(x: int) -> None:
        bodies.nap(x)

    def send(task: Any, *arguments: Any) -> None:
        task.enqueue(*arguments)
