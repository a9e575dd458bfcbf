"""What is measured: a system is a task queue together with the services it is used with.

Each module in `benchmarks.peers` describes one such queue. What stands above `if INSIDE` is read by the benchmark, and
may not import the queue; what stands below is read in its own virtual environment, by its sender and its workers:

    SYSTEMS                                    what can be measured
    worker(system, processes, threads)         the commands of a worker, as arguments of python; none: it cannot
    django(system, broker)                     Django's settings, beside DATABASES            (if it needs some)

    add, nap                                   the tasks of `benchmarks.bodies`, declared
    send(task, *arguments)                     one task, with its one-call API
    bulk(task, calls)                          many, with its API for that                    (if it has one)
    prepare()                                  make its tables, say                           (default: migrate)
    settled()                                  is every ending recorded?                      (if that comes later)
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

OURS = "django_tasks"
#: The name of the system this process belongs to, in its own environment; empty in the benchmark itself.
INSIDE = os.environ.get("BENCH_SYSTEM", "")
#: Where its broker is, if it has one.
BROKER = os.environ.get("BENCH_BROKER", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    family: str
    module: str
    #: "redis" or "rabbitmq"; empty where the database is the queue.
    broker: str = ""
    #: "sqlite", "postgresql" or "mariadb"
    database: str = ""
    variant: str = ""
    #: What pip installs for it; nothing means that it lives where the benchmark does.
    packages: tuple[str, ...] = ()
    #: Whether there is a record of each task that has ended.
    keeps: bool = False
    #: About how many tasks it runs in a second here; how many are sent per round follows from it.
    pace: int = 1_000
    #: One of all of these is enough for a quick look.
    quick: bool = False
    #: How it is set up, for the reader.
    says: str = ""

    @property
    def name(self) -> str:
        return "+".join(filter(None, (self.family, self.broker, self.database))) + (
            f"/{self.variant}" if self.variant else ""
        )

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.broker, self.database)))

    @property
    def queue(self) -> str:
        """The service that carries the tasks."""
        return self.broker or self.database

    @property
    def words(self) -> set[str]:
        """What selects it on the command line."""
        return {self.family, self.name, *self.services} | {"ours" if self.family == OURS else "peers"}


def modules() -> dict[str, ModuleType]:
    """By name; ours first."""
    package = importlib.import_module("benchmarks.peers")
    names = sorted(
        (module.name for module in pkgutil.iter_modules(package.__path__)), key=lambda n: (n != "ours", n)
    )
    return {f"benchmarks.peers.{name}": importlib.import_module(f"benchmarks.peers.{name}") for name in names}


def systems() -> list[System]:
    return [system for module in modules().values() for system in module.SYSTEMS]


def rival(system: System, among: Sequence[System]) -> System | None:
    """Ours on the same services that keeps what this one keeps: what it is compared with."""
    ours = (one for one in among if one.family == OURS)
    return next((one for one in ours if (one.queue, one.keeps) == (system.queue, system.keeps)), None)
