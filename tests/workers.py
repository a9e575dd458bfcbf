"""Real workers in processes of their own, started on the test's database."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, connection, connections, transaction

from django_tasks import Task
from django_tasks.models import QueuedMessage, TaskResult

ROOT = Path(__file__).resolve().parents[1]
#: Seconds after which a state that does not come is a failure; a busy machine is slow, not wrong.
PATIENCE = 45.0


def eventually(state: Callable[[], object], what: str = "") -> object:
    """Wait for a state, and answer it."""
    ends = time.monotonic() + PATIENCE
    while not (found := state()):
        assert time.monotonic() < ends, f"never came: {what or state}"
        time.sleep(0.01)
    return found


class RunningWorker:
    def __init__(self, log: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runworker", *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.settings",
                    # The debugging allocator of -X dev watches C code, of which we have none, for a third of the time.
                    "PYTHONMALLOC": "default",
                    "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
                    "PYTHONDEVMODE": "1",
                    "PYTHONWARNINGS": "error",
                    **environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[int]:
        """The housekeeper first, then the task processes in the order of their birth."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def family(self, processes: int = 2) -> list[int]:
        """Its children when all are there: a task may have run before the last of them was forked."""
        found = eventually(lambda: len(self.children()) == 1 + processes and self.children(), "its processes")
        assert isinstance(found, list)
        return found

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


Start = Callable[..., RunningWorker]


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Start]:
    """Starts `manage.py runworker` with the given arguments; what still runs at the end is killed."""
    numbers = itertools.count()
    # Whatever goes wrong at the end of one, the others do not live on.
    with contextlib.ExitStack() as ends:
        ends.callback(connections.close_all)
        ends.callback(_print_left_over)

        def start(*arguments: str, **environment: str) -> RunningWorker:
            worker = RunningWorker(tmp_path / f"worker{next(numbers)}.log", arguments, environment)
            ends.callback(lambda: print(f"--- {worker.log.name}\n{worker.output}"))
            ends.callback(worker.kill_group)
            return worker

        yield start


def _print_left_over() -> None:
    """What a failure is understood by: the tasks that did not end, and the messages that are stored."""
    # A test of a database that is away may have left it like that.
    with contextlib.suppress(DatabaseError, InterfaceError):
        for row in TaskResult.objects.not_final().order_by("created_at")[:20]:
            print(f"{row.id} {row.task} {row.status}, owned by {row.claimed_by}, awaited {row.awaited_at}")
        for message in QueuedMessage.objects.order_by("pk")[:20]:
            print(f"message {message.pk} of {message.queue}: {message.state}, owned by {message.claimed_by}")


@pytest.fixture
def run_burst(start_worker: Start) -> Callable[..., RunningWorker]:
    """Runs a worker until the queues are empty, and checks that it ended well."""

    def run(*arguments: str, **environment: str) -> RunningWorker:
        worker = start_worker("--burst", *arguments, **environment)
        assert worker.wait() == 0, worker.output
        return worker

    return run


@contextlib.contextmanager
def program(*arguments: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another Python program on the test's database; at the end neither it lives on nor anything that it forked."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
                **environment,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        print(f"--- {log.name}\n{log.read_text(errors='replace')}")


def freeze(stop: Callable[[], None]) -> None:
    """Stop processes by a signal while this one has SQLite's only lock: whoever froze with it would stop everybody."""
    with transaction.atomic():
        TaskResult.objects.filter(pk="").delete()
        stop()


def status(id: str) -> str:
    return TaskResult.objects.values_list("status", flat=True).get(id=id)


def runs_when_sent(task: Task[[], Any]) -> None:
    sent = task.delay()
    eventually(lambda: status(sent.id) == "SUCCESS", "a task runs")


def all_final() -> bool:
    """By one query: of two, the second would see what was sent since the first."""
    return not TaskResult.objects.not_final().exists()
