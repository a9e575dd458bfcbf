from __future__ import annotations

import time

from ..bench import Bench
from .measure import Measure, Number


class Idle(Measure):
    name = "idle"
    title = "Idle worker, 2 processes"
    says = "What a worker costs that has nothing to do any more. Memory that processes share counts in shares (PSS)."
    numbers = (
        Number(key="cpu", title="CPU-s/minute", more=False, digits=2, compared=True),
        Number(key="asked", title="commands or transactions/s", more=False, digits=1),
        Number(key="pss", title="PSS, MiB", more=False, digits=1),
        Number(key="processes", title="processes", more=False),
    )
    quick = False
    main_only = True

    def measure(self, bench: Bench) -> dict[str, float]:
        span = max(1.0, 3 * bench.seconds)
        with bench.sender() as sender, bench.worker(2) as worker:
            sender.send(0, 10, "one")
            bench.await_arrivals(0, 10)
            sender.ask("rest")
            time.sleep(min(1.0, bench.seconds))
            cpu, asked = worker.cpu(), sum(service.count() for service in bench.used)
            time.sleep(span)
            used = worker.cpu() - cpu
            asked = sum(service.count() for service in bench.used) - asked
            found = {"cpu": 60 * used / span, "pss": worker.pss(), "processes": float(len(worker.pids))}
            return {**found, "asked": asked / span} if any(service.unit for service in bench.used) else found
