"""Huey, on Redis without results, and on SQLite, which always keeps them."""

from typing import Any

from benchmarks.system import BROKER, INSIDE, System

_HERE: dict[str, Any] = {"family": "huey", "module": __name__, "quick": True}
_PACKAGES = ("huey", "redis", "Django", "django-environ")
SYSTEMS = [
    System(**_HERE, packages=_PACKAGES, broker="redis", pace=4_000, says="results=False"),
    System(**_HERE, packages=_PACKAGES, database="sqlite", keeps=True, pace=2_000, says="fsync=False"),
]


def django(system: System, broker: str) -> dict[str, Any]:
    return {"INSTALLED_APPS": []}


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    kind = ["-k", "process", "-w", str(processes)] if threads == 1 else ["-k", "thread", "-w", str(threads)]
    return [["-m", "huey.bin.huey_consumer", f"{__name__}.huey", "-q", *kind]]


if INSIDE:
    import os

    import django as framework
    from huey import RedisHuey, SqliteHuey

    from benchmarks import bodies

    framework.setup()
    path = os.environ.get("DATABASE_URL", "").removeprefix("sqlite:///")
    huey = RedisHuey("bench", url=BROKER, results=False) if BROKER else SqliteHuey("bench", filename=path)
    add = huey.task()(bodies.add)
    nap = huey.task()(bodies.nap)

    def send(task: Any, *arguments: Any) -> None:
        task(*arguments)
