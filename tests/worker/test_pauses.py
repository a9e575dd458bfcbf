"""Queues that are paused: no worker takes from them until they are resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from django_tasks import app
from django_tasks.exceptions import UnknownQueue
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker.pauses import Pauses
from tests.ledger.models import Entry
from tests.ledger.tasks import elsewhere, hold, hold_untracked, note
from tests.workers import PATIENCE, RunningWorker, Start, eventually, status

SIZES = pytest.mark.parametrize("size", ["--processes=2", "--processes=0"])


@pytest.mark.worker
@SIZES
def test_a_paused_queue_is_not_taken_from_after_a_start_and_served_when_resumed(
    start_worker: Start, size: str
) -> None:
    app.control.pause_queue("default", "repairs")
    waiting = note.delay(1)

    worker = start_worker(size)
    assert [elsewhere.delay(number).get(timeout=PATIENCE) for number in range(3)] == [0, 1, 2]

    assert status(waiting.id) == "PENDING"
    assert "Queue default is paused" in worker.output
    assert app.control.resume_queue("default")
    assert waiting.get(timeout=PATIENCE) == 1


@pytest.mark.worker
def test_a_running_worker_hears_of_a_pause_and_what_runs_goes_on(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = start_worker("--processes=2")
    running = hold.delay(str(gate))
    eventually(lambda: Entry.objects.exists(), "the body runs")

    app.control.pause_queue("default")
    eventually(lambda: "Queue default is paused" in worker.output, "it is heard")
    # Whatever was about to be taken when it was heard has been taken by then.
    for number in range(4):
        elsewhere.delay(number).get(timeout=PATIENCE)
    waiting = note.delay(1)
    assert elsewhere.delay(5).get(timeout=PATIENCE) == 5
    gate.touch()

    assert running.get(timeout=PATIENCE) == "through"
    assert elsewhere.delay(6).get(timeout=PATIENCE) == 6
    assert status(waiting.id) == "PENDING"
    (queues,) = (app.control.inspect(timeout=PATIENCE).active_queues() or {}).values()
    assert [queue["name"] for queue in queues] == ["other", "third"]
    app.control.resume_queue("default")
    assert waiting.get(timeout=PATIENCE) == 1
    assert "Queue default is served again" in worker.output


@pytest.mark.worker
def test_a_message_that_is_held_until_its_task_ends_is_not_given_back_by_a_pause(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    hold_untracked.delay(str(gate))
    worker = start_worker("--processes=2")
    eventually(lambda: Entry.objects.exists(), "the body runs")

    app.control.pause_queue("default")
    eventually(lambda: "Queue default is paused" in worker.output, "it is heard")
    elsewhere.delay(1).get(timeout=PATIENCE)
    app.control.resume_queue("default")
    assert note.delay(2).get(timeout=PATIENCE) == 2
    gate.touch()

    eventually(lambda: not QueuedMessage.objects.exists(), "the message is consumed")
    assert Entry.objects.filter(number=0).count() == 1


@pytest.mark.worker
@SIZES
def test_for_a_burst_paused_queues_are_empty(run_burst: Callable[..., RunningWorker], size: str) -> None:
    for queue in ("default", "third"):
        app.control.pause_queue(queue)
    waiting, served = note.delay(1), elsewhere.delay(2)

    run_burst(size)
    assert (status(waiting.id), status(served.id)) == ("PENDING", "SUCCESS")

    app.control.pause_queue("other")
    elsewhere.delay(3)
    run_burst(size)
    assert TaskResult.objects.waiting().count() == 2


@pytest.mark.django_db
def test_paused_queues_are_listed_with_the_reason() -> None:
    assert app.control.pause_queue("other", "repairs")
    assert not app.control.pause_queue("other", "long repairs")

    assert app.control.paused_queues() == {"other": "long repairs"}
    assert app.control.resume_queue("other")
    assert not app.control.resume_queue("other")
    assert app.control.paused_queues() == {}


@pytest.mark.django_db
def test_a_queue_that_is_not_declared_cannot_be_paused() -> None:
    with pytest.raises(UnknownQueue, match="Did you mean 'other'"):
        app.control.pause_queue("othr")


def test_before_anybody_has_looked_no_queue_may_be_taken_from() -> None:
    pauses = Pauses(["a", "b"])

    assert pauses.open() is None
    assert pauses.set([]) == []
    assert pauses.open() == ("a", "b")


def test_what_is_new_of_our_queues_is_told_once() -> None:
    pauses = Pauses(["a", "b"])

    assert pauses.set(["b", "somebody else's"]) == ["b"]
    assert pauses.set(["b"]) == []
    assert pauses.open() == ("a",)
    assert pauses.set(["a"]) == ["a", "b"]
    assert pauses.open() == ("b",)
