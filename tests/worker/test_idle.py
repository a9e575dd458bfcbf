"""What a worker that has nothing to do asks of the database."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from django_tasks import clock
from django_tasks.service import Loop, Wakeup
from django_tasks.worker.board import Board
from django_tasks.worker.consumer import Consumer
from django_tasks.worker.housekeeper import Housekeeper
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.retirement import Retirement
from django_tasks.worker.runners.main_thread import MainThreadRunner
from tests.threads import Errand

pytestmark = pytest.mark.django_db(transaction=True)

OPTIONS = WorkerOptions(queues=("default", "other"), processes=1)


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = clock.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    monkeypatch.setattr(clock, "monotonic", time := Time())
    monkeypatch.setattr(clock, "_offsets", {})  # what it finds is true of that time only
    return time


@pytest.fixture
def board() -> Board:
    """Of a worker that has begun."""
    board = Board(1, 1, uuid.uuid4().hex, OPTIONS.queues)
    board.pauses.set(())
    board.extend_lease(float("inf"))
    return board


@pytest.fixture
def consumer(board: Board) -> Iterator[Consumer]:
    wakeup, seat = Wakeup(), board.seats[0]
    seat.take(1)
    runner = MainThreadRunner(
        seat=seat, slots=1, concurrency=1, done=wakeup, retirement=Retirement(OPTIONS, seat)
    )
    yield Consumer(
        options=OPTIONS, seat=seat, runner=runner, wakeup=wakeup, lifeline=None, on_orphaned=pytest.fail
    )
    wakeup.close()


def asked_in_a_minute(loop: Loop, time: Time) -> int:
    """How many statements a loop makes in a minute in which it hears nothing, after the turns of its start."""

    def idle_for(seconds: float) -> None:
        ends = time.now + seconds
        while time.now < ends:
            pause = loop.turn()
            loop.wait(0)
            time.now += loop.interval if pause is None else pause

    asked = []

    def count(execute: Callable[..., Any], sql: str, *how: Any) -> Any:
        asked.append(sql)
        return execute(sql, *how)

    def spend_a_minute() -> None:
        idle_for(20)
        # The loops forget what Django has logged of their statements.
        with connection.execute_wrapper(count):
            idle_for(60)

    try:
        Errand(spend_a_minute).result()
    finally:
        if loop.on_end is not None:
            Errand(loop.on_end).result()
    return len(asked)


def test_an_idle_task_process_asks_seldom(consumer: Consumer, time: Time) -> None:
    asked = asked_in_a_minute(consumer.loop, time)

    # MariaDB gives no sign of a message: who waits has to ask.
    assert asked <= {"postgresql": 7, "sqlite": 14, "mysql": 130}[connection.vendor]


def test_an_idle_housekeeper_asks_seldom(board: Board, time: Time) -> None:
    housekeeper = Housekeeper(options=OPTIONS, board=board, pid=os.getpid())
    loops = [loop for loop in housekeeper.loops if isinstance(loop, Loop)]

    asked = {loop.name: asked_in_a_minute(loop, time) for loop in loops}

    assert sum(asked.values()) <= {"postgresql": 90, "sqlite": 80, "mysql": 250}[connection.vendor], asked
