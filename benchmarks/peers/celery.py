"""Celery, without results or with django-celery-results.

As installed it closes its connections to the database around every task, whatever CONN_MAX_AGE says; the variant
"reuse" has the setting against that, which its documentation does not mention.
"""

from typing import Any

from benchmarks.system import BROKER, INSIDE, System

_PACKAGES = ("celery[redis]", "django-celery-results", "Django", "django-environ", "psycopg[binary]")
_HERE: dict[str, Any] = {"family": "celery", "module": __name__, "packages": _PACKAGES}
_RESULTS: dict[str, Any] = {**_HERE, "database": "postgresql", "keeps": True}
_REUSE = "the same, CONN_MAX_AGE=None and CELERY_DB_REUSE_MAX"
SYSTEMS = [
    System(**_HERE, broker="redis", pace=1_000, quick=True, says="ignore_result"),
    System(**_HERE, broker="rabbitmq", pace=2_000, quick=True, says="ignore_result"),
    System(**_RESULTS, broker="redis", pace=150, says="django-celery-results, as installed"),
    System(
        **_RESULTS,
        broker="redis",
        variant="reuse",
        pace=500,
        says=_REUSE,
    ),
    System(**_RESULTS, broker="rabbitmq", pace=150, says="django-celery-results, as installed"),
    System(
        **_RESULTS,
        broker="rabbitmq",
        variant="reuse",
        pace=500,
        says=_REUSE,
    ),
]


def django(system: System, broker: str) -> dict[str, Any]:
    database = {"CONN_MAX_AGE": None if system.variant == "reuse" else 0}
    return {"INSTALLED_APPS": ["django_celery_results"] if system.keeps else [], "DATABASE": database}


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    pool = [f"--concurrency={processes}"] if threads == 1 else ["--pool=threads", f"--concurrency={threads}"]
    return [["-m", "celery", "-A", __name__, "worker", "--loglevel=warning", *pool]]


if INSIDE:
    import os

    from celery import Celery

    from benchmarks import bodies

    app = Celery("bench", broker=BROKER)
    app.conf.task_ignore_result = not os.environ.get("DATABASE_URL")
    app.conf.result_backend = None if app.conf.task_ignore_result else "django-db"
    app.conf.CELERY_DB_REUSE_MAX = 1_000_000 if INSIDE.endswith("/reuse") else None
    app.conf.broker_connection_retry_on_startup = True
    add = app.task(bodies.add)
    nap = app.task(bodies.nap)

    def send(task: Any, *arguments: Any) -> None:
        task.delay(*arguments)
