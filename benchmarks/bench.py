"""What a measure has at hand for one system: empty services, a sender, a worker, and when tasks were reached."""

from __future__ import annotations

import array
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from . import bodies, processes, venvs
from .services import Service
from .system import System

ROOT = Path(__file__).resolve().parent.parent
OURS = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "DJANGO_TASKS_BROKER_URL")
HOME = Path(os.environ.get("BENCH_HOME", ROOT / ".bench"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """For one cell: one measure of one system in one round."""

    system: System
    module: ModuleType
    services: Mapping[str, Service]
    folder: Path
    #: What a cell may take for measuring, beside its preparations; about.
    seconds: float
    #: The versions of what it uses, found on the way.
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def used(self) -> list[Service]:
        return [self.services[name] for name in self.system.services]

    def tasks(self, share: float = 1.0) -> int:
        """How many this system runs in the time we have."""
        return max(20, int(self.system.pace * self.seconds * share))

    def said(self) -> str:
        """The last words of its processes."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    # -- the sender

    @contextlib.contextmanager
    def sender(self) -> Iterator[Sender]:
        """On empty services, with its tables made."""
        bodies.make(self.arrivals)
        for service in self.used:
            service.empty()
        process = self.start("-m", "benchmarks.sender", self.system.module, talk=True)
        sender = Sender(process, self.log)
        names = [package.partition("[")[0] for package in self.system.packages] or [
            "django-kombu-tasks",
            "kombu",
        ]
        try:
            self.versions.update(sender.ask("prepare", packages=names))
            self.versions.update({service.version(): "" for service in self.used})
            yield sender
        finally:  # or its connections are there while the next system is measured
            processes.end(processes.family([process.pid]))

    # -- its worker

    @contextlib.contextmanager
    def worker(self, count: int = 2, threads: int = 1) -> Iterator[Worker]:
        began = time.monotonic()
        commands = self.module.worker(self.system, count, threads)
        started = [self.start(*command).pid for command in commands]
        try:
            yield Worker(started, began)
        finally:
            processes.end(processes.family(started))

    def start(self, *command: str, talk: bool = False) -> subprocess.Popen[str]:
        """In the system's own environment; the benchmark's package is all that it sees of this folder."""
        with self.log.open("a") as log:
            return subprocess.Popen(
                [str(venvs.python(self.system, HOME)), *command],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talk else log,
                stderr=log,
                text=True,
            )

    def _environment(self) -> dict[str, str]:
        path = self.folder / "path"
        if not path.exists():
            path.mkdir()
            (path / "benchmarks").symlink_to(ROOT / "benchmarks")
        broker = self.services[self.system.broker].url if self.system.broker else ""
        own = {
            "BENCH_SYSTEM": self.system.name,
            "BENCH_BROKER": broker,
            "BENCH_ARRIVALS": str(self.arrivals),
            "PYTHONPATH": str(path),
        }
        if self.system.database:
            own["DATABASE_URL"] = self.services[self.system.database].url
        if settings := getattr(self.module, "django", None):
            own["DJANGO_SETTINGS_MODULE"] = "benchmarks.project.settings"
            own["BENCH_SETTINGS"] = json.dumps(settings(self.system, broker))
        # The settings of whoever starts us are not the system's.
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        return {**kept, **own}

    # -- when tasks were reached

    @property
    def arrivals(self) -> Path:
        return self.folder / "arrivals"

    def times(self, start: int, stop: int) -> array.array[float]:
        return bodies.times(self.arrivals, start, stop)

    def await_arrivals(
        self, start: int, stop: int, share: float = 1.0, within: float = 60.0
    ) -> array.array[float]:
        """Wait until this share of the tasks with these numbers has been reached."""
        needed, ends = share * (stop - start), time.monotonic() + within
        while (reached := _reached(times := self.times(start, stop))) < needed:
            if time.monotonic() > ends:
                raise TimeoutError(f"{reached} of {stop - start} tasks were reached within {within:g} s")
            time.sleep(0.02)
        return times


def _reached(times: array.array[float]) -> int:
    return len(times) - times.count(0.0)


class Sender:
    """A process in the system's environment that does what it is asked (`benchmarks.sender`)."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, what: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "it has ended"}')
        if "error" in answer:
            raise RuntimeError(f"{what}: {answer['error']}")
        return answer["value"]

    def send(self, start: int, stop: int, how: str = "", ballast: int = 0) -> tuple[float, float]:
        """Seconds, and seconds of processor time; if it is not said how, in the way that is fastest."""
        way = how or self.ask("can")[-1]
        seconds, cpu = self.ask("send", start=start, stop=stop, how=way, ballast=ballast)
        return seconds, cpu


@dataclass(frozen=True, slots=True)
class Worker:
    started: list[int]
    began: float

    @property
    def pids(self) -> set[int]:
        return processes.family(self.started)

    def cpu(self) -> float:
        return processes.cpu(self.pids)

    def pss(self) -> float:
        return processes.pss(self.pids)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder for one cell."""
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="cell-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def until(state: Callable[[], bool], within: float = 30.0) -> float:
    """Wait for it; the time at which it was so."""
    ends = time.monotonic() + within
    while not state():
        if time.monotonic() > ends:
            raise TimeoutError(f"not settled within {within:g} s")
        time.sleep(0.01)
    return time.monotonic()
