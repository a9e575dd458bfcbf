"""One broker, with our worker on the queue `default`, Celery's on `other`, and a program of either kind to send."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import kombu.pools
import pytest

from django_tasks import AsyncResult, Signature, signature
from tests.services import Server
from tests.workers import PATIENCE, RunningWorker, Start, program

from .peer import celery_app

OURS, THEIRS = "default", "other"

#: What Celery and we write as JSON, and read as it was.
RICH = [
    dt.datetime(2026, 11, 20, 8, 27, 3, 872924, tzinfo=dt.UTC),
    dt.date(2026, 11, 20),
    dt.time(8, 27, 3),
    Decimal("1.10"),
    UUID("11111111-1111-4111-8111-111111111111"),
    b"abc",
    b"\xff",
    "ünï ☃ 𝄞",
    [None, True, 2**60, 1.5],
]


@pytest.fixture
def broker(shared_server: Server, use_broker: Callable[[str], None]) -> Server:
    use_broker(shared_server.url)
    return shared_server


@pytest.fixture
def results(tmp_path: Path) -> str:
    """Where Celery keeps its results."""
    folder = tmp_path / "results"
    folder.mkdir()
    return f"file://{folder}"


@pytest.fixture
def our_worker(broker: Server, start_worker: Start) -> RunningWorker:
    return start_worker("--processes=1", f"--queues={OURS}")


@pytest.fixture
def their_worker(broker: Server, results: str, transactional_db: None, tmp_path: Path) -> Iterator[None]:
    about = {"PEER_BROKER": broker.url, "PEER_RESULTS": results}
    with program("-m", "tests.interop.peer", log=tmp_path / "celery.log", **about):
        yield


class Program:
    """A program with real Celery, in the process of the test."""

    def __init__(self, broker: str, results: str) -> None:
        self.app = celery_app(broker, results)

    def __call__(self, task: Any, *args: Any, **options: Any) -> Any:
        """A signature, for the queue of whoever has the task."""
        name = task if isinstance(task, str) else task.name
        queue = THEIRS if name.startswith("peer.") else OURS
        kwargs = options.pop("kwargs", {})
        return self.app.signature(name, args=args, kwargs=kwargs, options={"queue": queue, **options})

    def result(self, id: str) -> Any:
        """What its own worker has stored."""
        return self.app.AsyncResult(id).get(timeout=PATIENCE)

    def close(self) -> None:
        consumer = getattr(self.app.backend, "result_consumer", None)
        if consumer is not None and consumer._connection is not None:
            consumer.stop()
        self.app.close()
        # kombu's are everybody's with this URL, and believe that they have declared queues that are gone.
        kombu.pools.reset()


@pytest.fixture
def celery_program(broker: Server, results: str, transactional_db: None) -> Iterator[Program]:
    program = Program(broker.url, results)
    yield program
    program.close()


def theirs(name: str, *args: Any, **options: Any) -> Signature:
    """Our signature of a task that only Celery's worker has."""
    return signature(name, args=args, queue=THEIRS, **options)


def back(task: Any, *args: Any) -> Any:
    """A step of ours that comes after one of theirs: Celery's worker would look for it in its own queue."""
    return task.s(*args).set(queue=OURS)


def result_of(id: str) -> Any:
    return AsyncResult(id).get(timeout=PATIENCE)
