"""Real workers in processes of their own, started on the test's database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from django.db import connection, transaction

from django_tasks.models import TaskResult

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
                [sys.executable, "-X", "dev", "-W", "error", "manage.py", "runworker", *arguments],
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

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[int]:
        """The housekeeper first, then the task processes in the order of their birth."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


Start = Callable[..., RunningWorker]


def freeze(stop: Callable[[], None]) -> None:
    """Stop processes by a signal while this one has SQLite's only lock: whoever froze with it would stop everybody."""
    with transaction.atomic():
        TaskResult.objects.filter(pk="").delete()
        stop()


def status(id: str) -> str:
    return TaskResult.objects.values_list("status", flat=True).get(id=id)


def all_final() -> bool:
    return TaskResult.objects.count() == TaskResult.objects.final().count()
