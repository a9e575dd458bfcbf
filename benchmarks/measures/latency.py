from __future__ import annotations

import heapq
import random
from collections.abc import Sequence

from ..bench import Bench, Sender
from ..bodies import NAP
from .measure import Measure, Number

PROCESSES = 2
LOAD = 0.5
PATIENCE = 15.0  # seconds for the last one


class Latency(Measure):
    name = "latency"
    title = "Latency, 2 processes"
    says = f"""Milliseconds from the call that sends a task to the first line of its body. Idle: one at a time, each a
moment after the one before was reached. At half load: tasks that take {1000 * NAP:g} ms arrive at random, at the same
moments for all, and keep the two processes busy half of the time; the raw limit is a queue that costs nothing."""
    main_only = True
    numbers = (
        Number(
            key="p50",
            title="idle p50, ms",
            more=False,
            digits=1,
            compared=True,
            limit="{queue} latency p50, ms",
        ),
        Number(key="p95", title="idle p95", more=False, digits=1),
        Number(key="p99", title="idle p99", more=False, digits=1),
        Number(key="load p50", title="half load p50, ms", more=False, digits=1),
        Number(
            key="load p95", title="half load p95", more=False, digits=1, limit="half load latency p95, ms"
        ),
        Number(key="load p99", title="half load p99", more=False, digits=1),
    )

    def measure(self, bench: Bench) -> dict[str, float]:
        with bench.sender() as sender, bench.worker(PROCESSES):
            for number in range(10):  # connections open, code warm in both processes
                sender.send(number, number + 1, "one")
            bench.await_arrivals(0, 10)
            idle = percentiles(_idle(bench, sender))
            return {**idle, **percentiles(_loaded(bench, sender), "load ")}


def _idle(bench: Bench, sender: Sender) -> list[float]:
    # Those that poll would take long for so many; they have fewer in five times the time.
    start, stop = 10, 10 + int(60 * bench.seconds)
    path, longest = str(bench.arrivals), 5 * bench.seconds
    return _spans(bench, start, sender.ask("arrive", start=start, stop=stop, seconds=longest, path=path))


def _loaded(bench: Bench, sender: Sender) -> list[float]:
    start = 100_000
    return _spans(bench, start, sender.ask("load", start=start, moments=moments(bench.seconds)))


def _spans(bench: Bench, start: int, sent: Sequence[float]) -> list[float]:
    """Milliseconds."""
    reached = bench.await_arrivals(start, start + len(sent), within=PATIENCE)
    return [1e3 * (there - then) for then, there in zip(sent, reached, strict=True)]


def moments(seconds: float) -> list[float]:
    """When tasks arrive at half load: at random, and always the same."""
    chance, now, found = random.Random(7), 0.0, []
    while (now := now + chance.expovariate(LOAD * PROCESSES / NAP)) < seconds:
        found.append(now)
    return found


def ideal(arrivals: Sequence[float]) -> list[float]:
    """Milliseconds that tasks would wait for a process if nothing cost anything but the tasks."""
    free, waits = [0.0] * PROCESSES, []
    for arrival in arrivals:
        begins = max(arrival, heapq.heappop(free))
        heapq.heappush(free, begins + NAP)
        waits.append(1e3 * (begins - arrival))
    return waits


def percentiles(values: Sequence[float], prefix: str = "") -> dict[str, float]:
    ordered = sorted(values)
    return {f"{prefix}p{share}": ordered[len(ordered) * share // 100] for share in (50, 95, 99)}
