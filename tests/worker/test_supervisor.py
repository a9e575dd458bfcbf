"""The supervisor's turns, without a worker around them."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid

import pytest
from django.db import OperationalError, connection

from django_tasks.service import Loop, readable
from django_tasks.worker.board import Board
from django_tasks.worker.housekeeper import Housekeeper
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.supervisor import Phase, Supervisor
from tests.workers import PATIENCE


def test_a_death_wakes_whoever_takes_up_what_the_dead_left() -> None:
    supervisor = Supervisor(WorkerOptions(queues=("default",), processes=1))
    seat = supervisor.seats[1] = supervisor.board.seats[0]
    seat.take(1)
    housekeeper = Housekeeper(options=supervisor.options, board=supervisor.board, pid=1)
    (rescue,) = (loop for loop in housekeeper.loops if isinstance(loop, Loop) and loop.name == "rescue")

    supervisor.note_end(1, -signal.SIGKILL)

    assert readable([rescue.wakeup.fileno()], 0)
    assert supervisor.board.dead_seats() == [seat]


@pytest.mark.django_db
def test_a_database_that_was_away_makes_the_figures_wait_for_what_is_recorded_late() -> None:
    """Whatever was asked first and failed: or ends that were kept meanwhile are written behind what is counted."""
    options = WorkerOptions(queues=("default",), processes=1)
    housekeeper = Housekeeper(options=options, board=Board(1, 1, uuid.uuid4().hex), pid=1)
    housekeeper.add_up()
    assert housekeeper.rollups.is_unbroken
    housekeeper.rollups.resumes = housekeeper.rollups.prunes = float("-inf")

    def is_away(*statement: object) -> None:
        raise OperationalError("server closed the connection")

    with connection.execute_wrapper(is_away), pytest.raises(OperationalError):
        housekeeper.add_up()

    assert not housekeeper.rollups.is_unbroken


def test_an_orphan_that_nobody_reaps_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a container may know nothing of others' children."""
    options = WorkerOptions(queues=("default",), processes=1)
    board = Board(1, 1, uuid.uuid4().hex)
    housekeeper = Housekeeper(options=options, board=board, pid=1)
    monkeypatch.setattr("django_tasks.worker.housekeeper.ORPHANS_END_WITHIN", PATIENCE)
    monkeypatch.setattr(housekeeper.wakeup, "wait", lambda seconds: pytest.fail("it is over already"))
    with subprocess.Popen(["true"]) as orphan:
        # It has ended, and is a zombie until it is reaped.
        os.waitid(os.P_PID, orphan.pid, os.WEXITED | os.WNOWAIT)
        board.seats[0].take(orphan.pid)
        board.seats[0].sit(orphan.pid)

        housekeeper.bury_orphans()

    assert board.dead_seats() == [board.seats[0]]


def test_a_burst_whose_processes_have_ended_is_over_in_the_same_turn() -> None:
    supervisor = Supervisor(WorkerOptions(queues=("default",), processes=1, burst=True))
    with subprocess.Popen(["sleep", "infinity"]) as housekeeper:
        supervisor.housekeeper = housekeeper.pid
        supervisor.wanted = 0
        try:
            supervisor.turn()
            assert supervisor.phase == Phase.TIDYING
            assert housekeeper.wait(PATIENCE) == -signal.SIGTERM
        finally:
            housekeeper.kill()
