"""A worker that receives nothing says so: on the board, in its row, once in its log."""

from __future__ import annotations

import uuid

import pytest

from django_tasks.models import Worker
from django_tasks.worker.board import BROKER_AWAY, DEAD, FAILING, FINE, Board
from django_tasks.worker.lease import Lease
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.trouble import Trouble


@pytest.fixture
def board() -> Board:
    """Of a worker whose two processes have just begun."""
    board = Board(4, 1, uuid.uuid4().hex)
    for serial, seat in enumerate(board.seats[:2], start=1):
        seat.take(serial)
        seat.sit(serial)
    return board


@pytest.fixture
def lease(board: Board, db: None) -> Lease:
    return Lease(board=board, options=WorkerOptions(queues=("default",)), pid=1)


def said() -> str:
    return Worker.objects.get().trouble


def test_a_worker_all_of_whose_processes_receive_says_nothing(
    board: Board, lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    lease.turn()

    Trouble(board).turn()

    assert (said(), caplog.text) == ("", "")


def test_a_process_that_cannot_receive_is_told_of_in_the_row_and_once_in_the_log(
    board: Board, lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    lease.turn()
    trouble = Trouble(board)
    board.seats[1].complain(BROKER_AWAY)

    for _ in range(3):
        trouble.turn()

    expected = "The broker cannot be reached, or does not let it consume (1 of 2 processes)."
    assert said() == expected
    assert [record.getMessage() for record in caplog.records] == [f"This worker is in trouble: {expected}"]


def test_different_troubles_are_all_told(board: Board, lease: Lease) -> None:
    lease.turn()
    board.seats[0].complain(BROKER_AWAY)
    board.seats[1].complain(FAILING)

    Trouble(board).turn()

    assert said().count("(1 of 2 processes).") == 2


def test_trouble_that_changes_is_told_in_the_row_only(
    board: Board, lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    lease.turn()
    trouble = Trouble(board)
    for seat in board.seats[:2]:
        seat.complain(BROKER_AWAY)
        trouble.turn()

    assert "(2 of 2 processes)" in said()
    assert len(caplog.records) == 1


def test_trouble_that_is_over_is_taken_back(
    board: Board, lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    lease.turn()
    trouble = Trouble(board)
    board.seats[0].complain(BROKER_AWAY)
    trouble.turn()
    board.seats[0].complain(FINE)

    trouble.turn()

    assert said() == ""
    assert caplog.records[-1].getMessage() == "This worker is out of trouble"


def test_a_new_housekeeper_corrects_what_the_one_before_has_written(board: Board, lease: Lease) -> None:
    lease.turn()
    Worker.objects.update(trouble="The housekeeper died before this was over.")

    Trouble(board).turn()

    assert said() == ""


def test_what_could_not_be_written_is_written_later(board: Board, lease: Lease) -> None:
    trouble = Trouble(board)
    board.seats[0].complain(BROKER_AWAY)
    trouble.turn()
    lease.turn()

    trouble.turn()

    assert said()


def test_the_trouble_of_a_dead_process_died_with_it(board: Board, lease: Lease) -> None:
    lease.turn()
    board.seats[0].complain(BROKER_AWAY)
    board.seats[0].mark(DEAD)

    Trouble(board).turn()

    assert said() == ""


def test_a_process_that_takes_the_seat_of_another_begins_without_its_trouble(board: Board) -> None:
    seat = board.seats[0]
    seat.complain(BROKER_AWAY)

    seat.take(3)

    assert (seat.trouble, seat.owner) == (FINE, f"{board.worker_id}.3")
