"""How the figures change with size. On request only: it takes its time."""

from __future__ import annotations

from collections.abc import Sequence

from ..bench import Bench, Sender
from ..system import OURS, System
from .drain import drain
from .measure import Measure, Number

FULL = 1_000  # tasks per second, at least, at which a backlog or history is made


class Growth(Measure):
    on_request = True
    usual: tuple[int, ...]
    unit = ""
    more = True

    def __init__(self, sizes: Sequence[int] = ()) -> None:
        self.sizes = tuple(sizes) or self.usual
        self.numbers = tuple(
            Number(key=str(size), title=f"{size:,} {self.unit}", more=self.more) for size in self.sizes
        )

    def limit(self, bench: Bench) -> float:
        return super().limit(bench) * len(self.sizes) + sum(self.sizes) / FULL

    def measure(self, bench: Bench) -> dict[str, float]:
        return {str(size): self.one(bench, size) for size in self.sizes}

    def one(self, bench: Bench, size: int) -> float:
        """The number for this size."""
        raise NotImplementedError


class Backlog(Growth):
    name = "backlog"
    title = "Growth: drain, by what waits"
    says = """Tasks per second while that many wait, and the worker's memory (PSS) then. Only what can be drained
in the time of a cell is looked at."""
    unit = "wait"
    usual = (1_000, 10_000, 100_000)

    def __init__(self, sizes: Sequence[int] = ()) -> None:
        super().__init__(sizes)
        self.numbers += tuple(
            Number(key=f"{size} pss", title=f"{size:,} wait, MiB", more=False, digits=1)
            for size in self.sizes
        )

    def measure(self, bench: Bench) -> dict[str, float]:
        found = {}
        for size in self.sizes:
            with bench.sender() as sender:
                sender.send(0, size)
                with bench.worker(2) as worker:
                    tasks = min(size, bench.tasks())
                    found[f"{size}"] = drain(bench, sender, worker, tasks, backlog=size > tasks)["rate"]
                    found[f"{size} pss"] = worker.pss()
        return found


class History(Growth):
    name = "history"
    title = "Growth: drain, by what has ended"
    says = "Tasks per second beside that many rows of tasks that ended before."
    unit = "rows"
    usual = (0, 10_000, 100_000)

    def applies(self, system: System) -> bool:
        return system.family == OURS and system.keeps

    def one(self, bench: Bench, size: int) -> float:
        tasks = bench.tasks()
        with bench.sender() as sender:
            sender.ask("call", name="history", count=size)
            sender.send(0, tasks)
            return _rate(bench, sender, tasks)


class Payload(Growth):
    name = "payload"
    title = "Growth: drain, by the size of an argument"
    says = "Tasks per second, with an argument of that many characters."
    unit = "characters"
    usual = (100, 1_000, 10_000, 100_000)

    def one(self, bench: Bench, size: int) -> float:
        tasks = min(bench.tasks(), max(200, 20_000_000 // size))
        with bench.sender() as sender:
            sender.send(0, tasks, ballast=size)
            return _rate(bench, sender, tasks)


class Processes(Growth):
    name = "processes"
    title = "Growth: drain, by processes"
    says = "Tasks per second with that many task processes."
    unit = "processes"
    usual = (1, 2, 4, 8)

    def one(self, bench: Bench, size: int) -> float:
        with bench.sender() as sender:
            sender.send(0, bench.tasks())
            return _rate(bench, sender, bench.tasks(), processes=size)


class Groups(Growth):
    name = "groups"
    title = "Growth: chords, by their size"
    says = "Microseconds of the worker's processor time per task in the header of a chord, until its body has ended."
    unit = "in the header"
    usual = (100, 1_000, 10_000)
    more = False

    def applies(self, system: System) -> bool:
        return system.family == OURS and system.keeps

    def one(self, bench: Bench, size: int) -> float:
        with bench.sender() as sender:
            sender.ask("call", name="send_chord", size=size)
            with bench.worker(2) as worker:
                found = drain(bench, sender, worker, size)["cpu"]
            sender.ask("call", name="check_chord", size=size)
            return found


def _rate(bench: Bench, sender: Sender, tasks: int, processes: int = 2) -> float:
    with bench.worker(processes) as worker:
        return drain(bench, sender, worker, tasks)["rate"]
