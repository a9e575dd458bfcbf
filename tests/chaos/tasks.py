"""What is run while things break. Each body begins by writing itself into the ledger."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

from django_tasks import Task, task
from tests.ledger.models import Entry

from . import runs


@task(bind=True)
def once(self: Task[..., Any], seconds: float = 0.0, size: int = 0) -> str:
    """Runs once at most: if its process dies, it fails."""
    with runs.run(self.request.id, self.request.retries):
        time.sleep(seconds)
    return "x" * size


@task(bind=True, acks_late=True)
def again(self: Task[..., Any], seconds: float = 0.0, size: int = 0) -> str:
    """If its process dies, it runs again."""
    with runs.run(self.request.id, self.request.retries):
        time.sleep(seconds)
    return "x" * size


@task(bind=True)
async def once_async(self: Task[..., Any], seconds: float = 0.0) -> None:
    with runs.run(self.request.id, self.request.retries):
        await asyncio.sleep(seconds)


@task(bind=True, atomic=True)
def whole(self: Task[..., Any]) -> None:
    """Its entry in the tasks' database and its ending are there together, however often it had to begin."""
    with runs.run(self.request.id, self.request.retries):
        Entry.objects.create(task_id=self.request.id, pid=os.getpid(), at=time.time())


@task(bind=True, acks_late=True, ignore_result=True)
def loose(self: Task[..., Any]) -> None:
    """Has no row: only its message."""
    with runs.run(self.request.id, self.request.retries):
        pass


@task(bind=True)
def retried(self: Task[..., Any]) -> None:
    """Runs twice."""
    with runs.run(self.request.id, self.request.retries):
        if not self.request.retries:
            raise self.retry(countdown=0)


@task(bind=True, acks_late=True)
def replaced(self: Task[..., Any]) -> None:
    """Leaves the entry to another one, which has its id."""
    self.replace(once.si())


@task
def nothing() -> None:
    """Not even an entry: for so many that the ledger would be what is measured."""


@task
async def nothing_async() -> None:
    pass


@task
def bang() -> None:
    raise ValueError("bang")


@task(bind=True)
def nothing_at_second(self: Task[..., Any]) -> None:
    if not self.request.retries:
        raise self.retry(countdown=0)


@task(bind=True)
def hold_once(self: Task[..., Any], gate: str) -> None:
    with runs.run(self.request.id, self.request.retries):
        _wait_for(gate)


@task(bind=True, acks_late=True)
def hold_again(self: Task[..., Any], gate: str) -> None:
    with runs.run(self.request.id, self.request.retries):
        _wait_for(gate)


def _wait_for(gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.01)


@task(bind=True, acks_late=True)
def poison(self: Task[..., Any], how: str) -> None:
    """Takes its process down, one way or another."""
    with runs.run(self.request.id, self.request.retries):
        match how:
            case "os._exit":
                os._exit(3)
            case "SIGSEGV":
                ctypes.string_at(0)
            case "SIGKILL":
                os.kill(os.getpid(), signal.SIGKILL)
            case "out of memory":
                hoard: list[bytes] = []
                while True:
                    hoard.append(b"x" * 5_000_000)
                    time.sleep(0.01)  # 500 MB a second
            case "endless loop in C":
                sum(range(10**13))


if os.environ.get("CHAOS_VERSION") != "old":

    @task(bind=True)
    def newcomer(self: Task[..., Any]) -> None:
        """The old version of the code does not have it."""
        with runs.run(self.request.id, self.request.retries):
            pass
