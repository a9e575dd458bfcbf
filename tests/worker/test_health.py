"""How a worker is, from the memory of its processes."""

from __future__ import annotations

import uuid

import pytest

from django_tasks import clock
from django_tasks.worker import health
from django_tasks.worker.board import BROKER_AWAY, DATABASE_AWAY, DEAD, FINE, Board
from django_tasks.worker.pulses import Beat

LEASE = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    time = Clock()
    monkeypatch.setattr(clock, "monotonic", time)
    return time


@pytest.fixture
def board(time: Clock) -> Board:
    """Of a worker with two processes, that has just begun to receive."""
    board = Board(4, 1, uuid.uuid4().hex)
    board.extend_lease(time.now + 1000)
    for serial, seat in enumerate(board.seats[:2], start=1):
        seat.take(serial)
        seat.sit(serial)
        seat.note_receiving()
    return board


@pytest.fixture
def lease(board: Board) -> Beat:
    """The loop that turns every ten seconds."""
    return board.pulses.enrol("lease", health.longest_silence(10))


def reasons(board: Board, wanted: int = 2) -> str:
    return " ".join(health.readiness(board, wanted=wanted).reasons)


def test_a_worker_all_of_whose_parts_work_is_live_and_ready(board: Board, lease: Beat) -> None:
    assert health.liveness(board).is_well
    assert health.readiness(board, wanted=2).is_well


def test_a_loop_that_has_not_turned_for_a_lease_is_named(board: Board, lease: Beat, time: Clock) -> None:
    time.now += LEASE + 1

    (reason,) = health.liveness(board).reasons

    assert reason == "The housekeeper's loop 'lease' has not turned for 31 s."
    assert reason in reasons(board)


def test_a_loop_that_turns_is_live_even_if_its_turns_fail(board: Board, lease: Beat, time: Clock) -> None:
    time.now += LEASE - 1
    lease(DATABASE_AWAY)
    time.now += LEASE - 1

    assert health.liveness(board).is_well


def test_a_loop_that_turns_rarely_is_given_three_of_its_intervals(board: Board, time: Clock) -> None:
    board.pulses.enrol("retention", health.longest_silence(60))

    time.now += 179
    assert health.liveness(board).is_well
    time.now += 2
    assert not health.liveness(board).is_well


def test_the_loops_of_a_housekeeper_that_died_are_not_waited_for(
    board: Board, lease: Beat, time: Clock
) -> None:
    board.pulses.enrol("relay", health.longest_silence(1))
    time.now += LEASE + 1

    board.pulses.clear()
    board.pulses.enrol("lease", health.longest_silence(10))

    assert [pulse.name for pulse in board.pulses] == ["lease"]
    assert health.liveness(board).is_well


def test_a_housekeeper_that_fails_at_the_database_is_not_ready(board: Board, lease: Beat) -> None:
    lease(DATABASE_AWAY)

    assert "The database cannot be reached" in reasons(board)
    assert "(housekeeper: lease)" in reasons(board)
    lease(FINE)
    assert not reasons(board)


def test_without_a_lease_it_is_not_ready(board: Board) -> None:
    board.extend_lease(0)

    assert "no lease" in reasons(board)


def test_a_process_in_trouble_makes_it_not_ready_and_leaves_it_live(board: Board, lease: Beat) -> None:
    board.seats[1].complain(BROKER_AWAY)

    assert reasons(board).startswith("The broker cannot be reached")
    assert reasons(board).endswith("(1 of 2 processes).")
    assert health.liveness(board).is_well


def test_a_process_that_has_not_received_yet_makes_it_not_ready(board: Board) -> None:
    board.seats[0].take(3)

    assert reasons(board) == "1 of 2 processes have not yet begun to receive."


def test_a_process_that_stands_still_makes_it_not_ready(board: Board, time: Clock) -> None:
    time.now += LEASE + 1
    board.seats[0].note_receiving()

    assert "1 of 2 processes have stopped asking" in reasons(board)


def test_a_process_that_is_missing_makes_it_not_ready(board: Board) -> None:
    board.seats[0].mark(DEAD)

    assert reasons(board) == "1 of 2 task processes are there."
    assert not reasons(board, wanted=1)


def test_a_worker_that_ends_and_one_without_a_housekeeper_are_not_ready(board: Board) -> None:
    assert not health.readiness(board, wanted=2, is_ending=True).is_well
    assert not health.readiness(board, wanted=2, has_housekeeper=False).is_well
