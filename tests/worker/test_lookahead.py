"""How many tasks are claimed ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_tasks.worker.board import MOST_CLAIMED, Board
from django_tasks.worker.lookahead import MOST, Lookahead
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.process import TaskProcess

seconds = st.floats(min_value=0, max_value=1e5)


def after(slots: int, *durations: float) -> Lookahead:
    lookahead = Lookahead(slots)
    for duration in durations:
        lookahead.learn(duration)
    return lookahead


def test_as_long_as_nothing_is_known_one_is_claimed_per_slot() -> None:
    assert Lookahead(4).room(outstanding=0, longest_running=0) == 4


def test_short_tasks_are_claimed_by_the_hundred() -> None:
    assert after(1, *[0.0001] * 50).room(outstanding=0, longest_running=0) == MOST


def test_long_tasks_are_claimed_one_by_one() -> None:
    lookahead = after(1, *[0.0001] * 50, 60, 60)

    assert lookahead.room(outstanding=1, longest_running=0) == 0
    assert lookahead.room(outstanding=0, longest_running=0) == 1


def test_a_body_that_has_run_for_long_is_believed_before_it_ends() -> None:
    assert after(1, *[0.0001] * 50).room(outstanding=1, longest_running=5) == 0


def test_a_free_slot_is_filled_at_once_but_a_nearly_full_stock_is_left_alone() -> None:
    lookahead = after(8, *[0.05] * 50)

    assert lookahead.room(outstanding=7, longest_running=0) > 0
    assert lookahead.room(outstanding=150, longest_running=0) == 0


@given(st.integers(1, 64), st.lists(seconds, max_size=30), st.integers(0, 5000), seconds)
def test_never_more_than_the_board_remembers_and_never_a_slot_left_idle(
    slots: int, durations: list[float], outstanding: int, longest: float
) -> None:
    room = after(slots, *durations).room(outstanding, longest)

    assert room >= 0
    assert outstanding + room <= max(MOST_CLAIMED, outstanding)
    assert outstanding + room >= min(slots, outstanding + room + 1) or outstanding >= slots


def test_a_new_process_begins_with_what_the_others_have_learned() -> None:
    options = WorkerOptions(queues=("default",))
    board = Board(1, options.threads, "w", coroutines=options.concurrency)
    board.seats[0].take(1)

    board.expected = 0.001

    lookahead = TaskProcess(options=options, seat=board.seats[0]).consumer.lookahead
    assert lookahead.room(outstanding=0, longest_running=0) == MOST
