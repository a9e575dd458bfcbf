from __future__ import annotations

from ..bench import Bench
from ..system import OURS
from .measure import Measure, Number


class Enqueue(Measure):
    name = "enqueue"
    title = "Enqueue"
    says = """Tasks per second that one process sends while no worker runs: one by one, each committed before the next;
all in one transaction, where the queue takes part in it; and with the system's API for many. Of ours it is
also told what of the sender's processor time is left when no statement reaches the database or its driver."""
    numbers = (
        Number(key="one", title="one by one /s", limit="{queue} send", compared=True),
        Number(key="one cpu", title="sender CPU, µs/task", more=False),
        Number(key="python", title="of it without the database", more=False),
        Number(key="together", title="in one transaction /s"),
        Number(key="bulk", title="bulk /s", limit="{queue} send many", compared=True),
        Number(key="bulk cpu", title="sender CPU, µs/task", more=False),
    )

    def measure(self, bench: Bench) -> dict[str, float]:
        found = {}
        with bench.sender() as sender:
            for number, way in enumerate(sender.ask("can")):
                sender.send(number, number + 1, way)  # connections open, code warm
                tasks = max(20, int((1_500 if way == "bulk" else 300) * bench.seconds))
                seconds, cpu = sender.send(10, 10 + tasks, way)
                found[way] = tasks / seconds
                found[f"{way} cpu"] = 1e6 * cpu / tasks
            if bench.system.family == OURS and not bench.system.broker:
                found["python"] = sender.ask("call", name="python_alone", tasks=tasks)
        return found
