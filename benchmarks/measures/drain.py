from __future__ import annotations

import time
from collections.abc import Mapping
from types import ModuleType

from ..bench import Bench, Sender, Worker, until
from ..system import System
from .measure import Measure, Number

RAMP = 0.1  # of the tasks are run before we look, so that all processes have started and are warm


class Drain(Measure):
    name = "drain"
    title = "Drain, 2 processes with a thread each"
    says = """Tasks per second that a worker runs from a full queue, after its first tenth and until every ending is
recorded. The processor time is that of all its processes, and that of the servers it uses, in the same span. Boot is
the time from the start of the command to the first line of the first task."""
    numbers = (
        Number(key="rate", title="tasks/s", limit="{queue} take", compared=True),
        Number(key="cpu", title="worker CPU, µs/task", more=False),
        Number(key="server", title="server CPU, µs/task", more=False),
        Number(key="asked", title="commands or transactions/task", more=False, digits=2),
        Number(key="boot", title="boot, s", more=False, digits=2, limit="django setup"),
    )
    processes = 2
    threads = 1

    def measure(self, bench: Bench) -> dict[str, float]:
        tasks = bench.tasks()
        with bench.sender() as sender:
            sender.send(0, tasks)
            before = asked(bench, sender)
            with bench.worker(self.processes, self.threads) as worker:
                found = drain(bench, sender, worker, tasks)
            if any(service.unit for service in bench.used):
                # PostgreSQL tells what it did when its clients have gone, so what the boot asked is in it.
                found["asked"] = (asked(bench, sender) - before) / tasks
            return found


class DrainThreads(Drain):
    name = "threads"
    title = "Drain, 1 process with 8 threads"
    says = "The same, for the systems that can run tasks in threads."
    processes = 1
    threads = 8
    quick = False
    main_only = True

    def __init__(self, modules: Mapping[str, ModuleType]) -> None:
        self._modules = modules

    def applies(self, system: System) -> bool:
        return super().applies(system) and bool(self._modules[system.module].worker(system, 1, 8))


def drain(
    bench: Bench, sender: Sender, worker: Worker, tasks: int, backlog: bool = False
) -> dict[str, float]:
    """Until the first `tasks` of the queue are done; the worker is not at its end if a backlog is behind them."""
    patience = 60 + 20 * bench.seconds
    bench.await_arrivals(0, tasks, RAMP, patience)
    before = _Reading.take(bench, worker, tasks)
    times = bench.await_arrivals(0, tasks, 1.0, patience)
    if not backlog:
        until(lambda: sender.ask("settled"), patience)
    after = _Reading.take(bench, worker, tasks)
    done = after.done - before.done
    if not done:
        raise ValueError(
            f"{tasks} tasks were over before there was anything to see. Take more, or more seconds."
        )
    found = {
        "rate": done / (after.time - before.time),
        "cpu": 1e6 * (after.worker - before.worker) / done,
        "boot": min(times) - worker.began,
    }
    # Less than nothing: somebody else's server of that name has ended.
    if (server := after.server - before.server) > 0:
        found["server"] = 1e6 * server / done
    return found


def asked(bench: Bench, sender: Sender) -> int:
    """Commands, queries and transactions, as the servers count them."""
    sender.ask("rest")
    return sum(service.count() for service in bench.used)


class _Reading:
    """What had been done, and what it had cost, at one moment."""

    def __init__(self, time: float, done: int, worker: float, server: float) -> None:
        self.time, self.done, self.worker, self.server = time, done, worker, server

    @classmethod
    def take(cls, bench: Bench, worker: Worker, tasks: int) -> _Reading:
        now, times = time.monotonic(), bench.times(0, tasks)
        return cls(
            time=now,
            done=tasks - times.count(0.0),
            worker=worker.cpu(),
            server=sum(service.cpu() for service in bench.used),
        )
