"""Fixtures that start real workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections

from tests.workers import RunningWorker, Start


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Start]:
    """Starts `manage.py runworker` with the given arguments; what still runs at the end is killed."""
    started: list[RunningWorker] = []

    def start(*arguments: str, **environment: str) -> RunningWorker:
        worker = RunningWorker(tmp_path / f"worker{len(started)}.log", arguments, environment)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill_group()
        print(f"--- {worker.log.name}\n{worker.output}")
    connections.close_all()


@pytest.fixture
def run_burst(start_worker: Start) -> Callable[..., RunningWorker]:
    """Runs a worker until the queues are empty, and checks that it ended well."""

    def run(*arguments: str, **environment: str) -> RunningWorker:
        worker = start_worker("--burst", *arguments, **environment)
        assert worker.wait() == 0, worker.output
        return worker

    return run
