"""What the dead still tell: the board that the processes of a worker share."""

from __future__ import annotations

import os

import pytest

from django_tasks.models.result_claims import worker_of
from django_tasks.worker.board import ALIVE, DEAD, FREE, MOST_CLAIMED, Board, Seat


@pytest.fixture
def board() -> Board:
    return Board(seats=2, threads=3, worker_id="w")


@pytest.fixture
def seat(board: Board) -> Seat:
    seat = board.seats[0]
    seat.take(7)
    return seat


def in_a_child(seat: Seat, *ids: str) -> None:
    """A process that begins these tasks in its slots, ends the first, and dies."""
    if (pid := os.fork()) == 0:
        for slot, id in enumerate(ids):
            seat.begin(slot, id)
        seat.end(0, b"outcome of " + ids[0].encode(), b"short")
        os._exit(9)
    os.waitpid(pid, 0)


def test_a_seat_is_free_alive_and_dead_in_turn(board: Board) -> None:
    first = board.free_seat()
    assert first is not None
    first.take(1)

    assert (first.state, board.free_seat()) == (ALIVE, board.seats[1])
    first.mark(DEAD)
    assert board.dead_seats() == [first]
    first.mark(FREE)
    assert board.free_seat() is first


def test_each_process_owns_rows_under_a_name_of_its_own_that_tells_the_worker(
    board: Board, seat: Seat
) -> None:
    board.seats[1].take(8)

    assert board.living_owners() == {"w.7", "w.8"}
    assert worker_of(seat.owner) == "w"


def test_what_a_dead_process_was_running_and_what_it_had_finished_can_be_told_apart(seat: Seat) -> None:
    in_a_child(seat, "first", "second", "third")

    assert [task.id for task in seat.running()] == ["second", "third"]
    assert seat.unsettled() == [b"outcome of first"]
    assert seat.done == 1


def test_settled_outcomes_are_forgotten_oldest_first(seat: Seat) -> None:
    for number in range(5):
        seat.begin(0, str(number))
        seat.end(0, str(number).encode(), b"")

    seat.settle(3)

    assert seat.unsettled() == [b"3", b"4"]


def test_the_journal_goes_round_for_ever(seat: Seat) -> None:
    outcome = b"x" * 100_000
    for number in range(200):
        seat.begin(0, str(number))
        seat.end(0, outcome + str(number).encode(), b"short")
        assert seat.unsettled() == [outcome + str(number).encode()]
        seat.settle(1)

    assert seat.unsettled() == []


def test_an_outcome_too_large_for_the_journal_is_kept_in_its_short_form(seat: Seat) -> None:
    seat.begin(0, "large")
    seat.end(0, b"x" * 5_000_000, b"short")

    assert seat.unsettled() == [b"short"]


def test_when_nothing_can_be_settled_every_claimed_task_still_leaves_its_line(seat: Seat) -> None:
    for number in range(MOST_CLAIMED):
        seat.begin(0, str(number))
        seat.end(0, b"y" * 10_000, b"%d" % number + b"s" * 1000)

    left = seat.unsettled()
    assert len(left) == MOST_CLAIMED
    assert left[-1].startswith(b"%d" % (MOST_CLAIMED - 1))


def test_the_longest_possible_id_fits(seat: Seat) -> None:
    longest = "\N{GRINNING FACE}" * 255

    seat.begin(2, longest)

    assert [task.id for task in seat.running()] == [longest]


def test_a_seat_taken_again_remembers_nothing(seat: Seat) -> None:
    in_a_child(seat, "first", "second")

    seat.take(8)

    assert (seat.running(), seat.unsettled(), seat.done, seat.owner) == ([], [], 0, "w.8")


@pytest.mark.parametrize("coroutines", [0, 100])
def test_a_process_knows_how_many_have_a_free_thread_before_it_or_at_all_if_it_has_none(
    coroutines: int,
) -> None:
    board = Board(seats=4, threads=1, worker_id="w", coroutines=coroutines)
    for serial, one in enumerate(board.seats[1:], 1):
        one.take(serial)
    board.seats[2].begin(0, "id")

    assert [board.idle_before(one) for one in board.seats] == [0, 0, 2, 1]


def test_without_a_lease_nothing_may_be_claimed(board: Board) -> None:
    assert not board.has_lease()
    board.extend_lease(float("inf"))
    assert board.has_lease()
