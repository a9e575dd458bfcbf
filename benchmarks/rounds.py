"""Runs the cells of the table, round by round: each measure of each system, each in its turn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from . import processes, venvs
from .bench import HOME, Bench, workplace
from .limits import limits
from .measures.measure import Measure
from .report import Found
from .services import Service, answers, services
from .system import System, modules

Cell = tuple[Measure, System]


class OutOfTime(Exception):
    """Not a TimeoutError, which those who wait for a state may expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    measures: Sequence[Measure]
    systems: Sequence[System]
    rounds: int
    #: About what one cell measures, beside its preparations.
    seconds: float
    with_limits: bool


def run(plan: Plan, found: Found, after_each: Callable[[], object]) -> None:
    """What it finds it adds to `found`; whatever happens, nothing is left behind."""
    processes.adopt_orphans()
    with workplace() as folder, _services(folder, plan.systems) as available:
        usable = _usable(plan.systems, available, found)
        cells = limits(usable) if plan.with_limits else []
        cells += [
            (measure, system) for measure in plan.measures for system in usable if measure.applies(system)
        ]
        for round_ in range(plan.rounds):
            for number, cell in enumerate(cells, 1):
                print(f"round {round_ + 1}, {number} of {len(cells)}: ", end="")
                _run(round_, cell, plan, available, found)
                after_each()


@contextlib.contextmanager
def _services(folder: Path, systems: Sequence[System]) -> Iterator[dict[str, Service]]:
    """For this run alone: another one would use databases and queues of the same names."""
    available, used = services(folder), {name for system in systems for name in system.services}
    with Path(tempfile.gettempdir(), "django-tasks-benchmark.lock").open("w") as lock:
        if used != {"sqlite"}:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SystemExit("Another benchmark is running. Wait for it, or stop it.") from None
        try:
            yield available
        finally:
            for service in (available[name] for name in used if answers(available[name])):
                try:
                    service.remove()
                except Exception as error:  # noqa: BLE001 - what was found is worth more
                    print(f"could not tidy up: {error}")


def _usable(systems: Sequence[System], available: dict[str, Service], found: Found) -> list[System]:
    """Those that can be installed and whose services answer; why the others are missing is part of the report."""
    silent = {name: "does not answer" for name, service in available.items() if not answers(service)}
    missing = {family: why for family, one in _families(systems).items() if (why := venvs.install(one, HOME))}
    for system in systems:
        reasons = {name: why for name, why in {**silent, **missing}.items() if name in system.words}
        if reasons:
            found.failures["all", system.name] = ", ".join(f"{name} {why}" for name, why in reasons.items())
            print(f"{system.name} cannot be measured: {found.failures['all', system.name]}")
    return [system for system in systems if ("all", system.name) not in found.failures]


def _families(systems: Sequence[System]) -> dict[str, System]:
    """One system of each; what is installed is the same."""
    return {system.family: system for system in systems}


def _run(round_: int, cell: Cell, plan: Plan, available: dict[str, Service], found: Found) -> None:
    measure, system = cell
    print(f"{measure.name} {system.name} ", end="", flush=True)
    with workplace() as folder:
        module = modules().get(system.module) or sys.modules[system.module]
        bench = Bench(system=system, module=module, services=available, folder=folder, seconds=plan.seconds)
        try:
            with _limited(measure.limit(bench)):
                numbers = measure.measure(bench)
            found.add(round_, measure.name, system.name, numbers)
            print(", ".join(f"{key} {value:,.2f}" for key, value in numbers.items()), flush=True)
        except Exception as error:  # noqa: BLE001 - the others go on
            found.failures[measure.name, system.name] = f"{type(error).__name__}: {error}"
            print(f"failed: {error}\n{bench.said()}", flush=True)
        finally:
            processes.end(processes.family([os.getpid()]) - {os.getpid()})
        found.versions |= {f"{name} {version}".strip() for name, version in bench.versions.items()}


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def over(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(f"not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
