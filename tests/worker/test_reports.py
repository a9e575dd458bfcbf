"""States that bodies show go out with the next write, each once, and never after the end (FEATURES STA-07, STA-10)."""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any

import pytest
from django.db import OperationalError

from django_tasks import AsyncResult, clock, task
from django_tasks.execution.outcome import Outcome, Reported, Request, Succeeded
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult
from django_tasks.worker import claims as claims_module
from django_tasks.worker.admission import Admitted
from django_tasks.worker.board import Board
from django_tasks.worker.claims import SHOW_STARTED_AFTER, Claims
from django_tasks.worker.lookahead import Lookahead
from django_tasks.worker.runners.runner import Underway

pytestmark = pytest.mark.django_db


@task
def plain() -> None: ...


class FakeRunner:
    """Runs nothing: the test says what is under way, shown and finished."""

    slots = 1

    def __init__(self) -> None:
        self.finished: deque[Outcome] = deque()
        self.reported: dict[int, Reported] = {}
        self.underway: list[Underway] = []

    def submit(self, requests: object) -> None: ...

    def running(self) -> list[Underway]:
        return self.underway

    def begin(self, request: Request, seconds_ago: float) -> None:
        self.underway.append(Underway(request=request, since=clock.monotonic() - seconds_ago))

    def show(self, request: Request, text: str) -> None:
        self.reported[id(request)] = Reported(
            request=request, state="PROGRESS", text=text, started_at=clock.now()
        )

    def end(self, request: Request) -> None:
        self.underway.clear()
        now = clock.now()
        self.finished.append(Succeeded(request=request, result='"end"', started_at=now, finished_at=now))


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def claims(runner: FakeRunner) -> Claims:
    board = Board(1, 1, uuid.uuid4().hex)
    board.seats[0].take(1)
    return Claims(
        seat=board.seats[0],
        runner=runner,  # type: ignore[arg-type]
        lookahead=Lookahead(1),
        holder=lambda: pytest.fail("nothing here is untracked"),
    )


@pytest.fixture
def request_(claims: Claims) -> Request:
    """A task that the process has claimed."""
    message = TaskMessage(id="one", task=plain.name)
    TaskResult.objects.create(
        id="one", task=plain.name, queue="default", message="{}", created_at=clock.to_storage(clock.now())
    )
    TaskResult.objects.claim(["one"], claims.owner)
    request = Request(message=message, worker="w@h")
    claims.add(Admitted(requests=[request]))
    return request


def seen() -> tuple[str, Any]:
    handle = AsyncResult[Any]("one")
    return handle.state, handle.info


def test_of_several_states_the_last_is_written(claims: Claims, runner: FakeRunner, request_: Request) -> None:
    runner.begin(request_, 0)
    for number in range(3):
        runner.show(request_, str(number))

    claims.settle()

    assert seen() == ("PROGRESS", 2)
    row = TaskResult.objects.get()
    assert (row.claimed_by, row.worker, row.started_at is None) == (claims.owner, "w@h", False)


def test_started_does_not_hide_what_the_body_shows(
    claims: Claims, runner: FakeRunner, request_: Request
) -> None:
    runner.begin(request_, 10 * SHOW_STARTED_AFTER)
    runner.show(request_, "1")

    claims.settle()
    claims.settle()

    assert seen() == ("PROGRESS", 1)
    assert not claims.has_unshown()


def test_what_the_body_shows_replaces_started(claims: Claims, runner: FakeRunner, request_: Request) -> None:
    runner.begin(request_, 10 * SHOW_STARTED_AFTER)
    claims.settle()
    before = seen()
    runner.show(request_, "1")

    claims.settle()

    assert before[0] == "STARTED"
    assert seen() == ("PROGRESS", 1)


def test_the_end_goes_before_a_state_of_the_same_moment(
    claims: Claims, runner: FakeRunner, request_: Request
) -> None:
    runner.show(request_, "1")
    runner.end(request_)

    claims.settle()

    assert seen() == ("SUCCESS", "end")
    assert not claims.reports


def test_what_is_shown_after_the_end_is_dropped_without_a_word(
    claims: Claims, runner: FakeRunner, request_: Request, caplog: pytest.LogCaptureFixture
) -> None:
    runner.end(request_)
    claims.settle()
    runner.show(request_, "1")  # by a thread that the body left behind

    claims.settle()

    assert seen() == ("SUCCESS", "end")
    assert (runner.reported, caplog.text) == ({}, "")


def test_a_state_that_could_not_be_written_is_written_later(
    claims: Claims, runner: FakeRunner, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("away")

    runner.begin(request_, 0)
    runner.show(request_, "1")
    monkeypatch.setattr(claims_module, "settle", away)
    with pytest.raises(OperationalError):
        claims.settle()
    monkeypatch.undo()

    claims.settle()

    assert seen() == ("PROGRESS", 1)


def test_of_an_untracked_task_nothing_is_written(claims: Claims, runner: FakeRunner) -> None:
    request = Request(message=TaskMessage(id="two", task=plain.name), worker="w@h", tracked=False)
    claims.add(Admitted(requests=[request]))
    runner.begin(request, 10 * SHOW_STARTED_AFTER)
    runner.show(request, "1")

    claims.settle()

    assert not TaskResult.objects.exists()
    assert not claims.has_unshown()


def test_without_work_nothing_is_asked(
    claims: Claims, runner: FakeRunner, request_: Request, django_assert_num_queries: Any
) -> None:
    runner.begin(request_, 0)

    with django_assert_num_queries(0):
        claims.settle()
