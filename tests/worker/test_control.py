"""What operators ask of running workers (FEATURES RES-12, issue's revoke and rate limits at run time)."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_tasks import app
from django_tasks.exceptions import NotRegistered, TaskRevokedError
from django_tasks.models import TaskResult, Worker
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, loop_in_c, note
from tests.workers import Start, eventually

RUNNERS = pytest.mark.parametrize(
    "runner", [("--processes=1",), ("--processes=1", "--threads=3")], ids=" ".join
)


@pytest.mark.worker
@RUNNERS
def test_a_running_task_can_be_terminated(start_worker: Start, tmp_path: Path, runner: tuple[str]) -> None:
    sent = hold.delay(str(tmp_path / "gate"))
    start_worker(*runner)
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")

    sent.revoke(terminate=True)

    with pytest.raises(TaskRevokedError, match="terminated"):
        sent.get(timeout=30)
    assert note.delay(1).get(timeout=30) == 1


@pytest.mark.worker
def test_one_that_never_comes_back_to_python_can_be_terminated_too(start_worker: Start) -> None:
    sent = loop_in_c.delay()
    start_worker("--processes=1")
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")

    app.control.revoke([sent.id], terminate=True)

    with pytest.raises(TaskRevokedError):
        sent.get(timeout=30)
    assert TaskResult.objects.get(id=sent.id).crashes == 0


@pytest.mark.worker
def test_neighbours_of_a_terminated_task_run_again(start_worker: Start, tmp_path: Path) -> None:
    gate, other = tmp_path / "gate", tmp_path / "other"
    neighbour, unwanted = hold.delay(str(gate)), hold.delay(str(other))
    start_worker("--processes=1", "--threads=2")
    eventually(lambda: Entry.objects.count() == 2, "both run")

    unwanted.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        unwanted.get(timeout=30)
    gate.touch()

    assert neighbour.get(timeout=30) == "through"


@pytest.mark.worker
def test_a_rate_limit_is_heard_by_running_workers(start_worker: Start) -> None:
    worker = start_worker("--processes=1")
    eventually(lambda: Worker.objects.exists(), "a worker")

    assert app.control.rate_limit(note.name, "1/h") == 1
    eventually(lambda: f"Rate limit of {note.name} is now 1/h" in worker.output, "heard")
    note.bulk([(number,) for number in range(5)])
    eventually(lambda: Entry.objects.count() == 1, "the first one")

    assert app.control.rate_limit(note.name, None, destination=["nobody@here"]) == 0
    assert Entry.objects.count() == 1


@pytest.mark.django_db
def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(NotRegistered):
        app.control.rate_limit("no.such.task", "1/s")
    with pytest.raises(ValueError, match="rate limit"):
        app.control.rate_limit(note.name, "often")


@pytest.mark.django_db
def test_waiting_tasks_are_revoked_with_no_worker_there() -> None:
    sent = note.bulk([(1,), (2,)])

    assert app.control.revoke([result.id for result in sent]) == 2
    assert {result.state for result in sent} == {"REVOKED"}
