"""How many messages a process receives when it cannot know which kind of task they are for."""

from __future__ import annotations

import pytest

from django_tasks import clock
from django_tasks.worker.intake import LOOK_AGAIN, Intake


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    return moment


def taken(intake: Intake, *, plain: int, coroutines: int, queue: str) -> str:
    """What it keeps of a queue of `p` and `c` messages, having room for so many."""
    received = queue[: intake.most(plain=plain, coroutines=coroutines)]
    return "".join(kind for kind in received if intake.takes(kind == "c"))


def test_where_there_are_only_plain_tasks_it_receives_what_there_is_room_for(now: list[float]) -> None:
    intake = Intake(expects_coroutines=False)

    assert intake.most(plain=7, coroutines=100) == 7
    assert intake.most(plain=0, coroutines=100) == 0


def test_where_coroutines_come_it_soon_fills_the_loop(now: list[float]) -> None:
    intake = Intake(expects_coroutines=True)
    sizes = []

    for _ in range(5):
        kept = taken(intake, plain=1, coroutines=100, queue="c" * 200)
        sizes.append(len(kept))

    assert sizes[:2] == [1, 50]
    assert sizes[-1] > 90


def test_what_does_not_fit_is_not_kept(now: list[float]) -> None:
    intake = Intake(expects_coroutines=True)
    taken(intake, plain=1, coroutines=100, queue="c")

    assert taken(intake, plain=1, coroutines=2, queue="pppc") == "p"
    assert taken(intake, plain=9, coroutines=1, queue="cpcpcp") == "cppp"


def test_while_plain_tasks_have_no_room_it_looks_for_coroutines_once_in_a_while(now: list[float]) -> None:
    intake = Intake(expects_coroutines=True)

    assert intake.most(plain=0, coroutines=100) == 1
    assert not intake.takes(False)
    assert intake.most(plain=0, coroutines=100) == 0
    assert intake.most(plain=1, coroutines=100) == 1

    now[0] += LOOK_AGAIN
    assert intake.most(plain=0, coroutines=100) == 1


def test_while_the_loop_is_full_plain_tasks_behind_coroutines_wait_a_moment(now: list[float]) -> None:
    intake = Intake(expects_coroutines=True)

    assert taken(intake, plain=2, coroutines=0, queue="ccpp") == ""
    assert (intake.most(plain=2, coroutines=0), intake.pause()) == (0, pytest.approx(LOOK_AGAIN))
    assert intake.most(plain=2, coroutines=1) > 0


def test_nothing_is_received_where_nothing_fits(now: list[float]) -> None:
    assert Intake(expects_coroutines=True).most(plain=0, coroutines=0) == 0
