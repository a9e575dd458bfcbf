"""Workflows that cross: some steps are run by a worker of Celery's, the others by ours, on one broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_tasks import AsyncResult, chain, group, signature
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import add, note_value, on_error_id, plus, who
from tests.workers import PATIENCE, RunningWorker, Start, eventually, program

celery = pytest.importorskip("celery", reason="Celery is not installed: there is nobody to work with")
pytestmark = pytest.mark.worker

THEIRS, OURS = "other", "default"


@pytest.fixture
def both(start_worker: Start, tmp_path: Path) -> Iterator[RunningWorker]:
    """A worker of Celery's for the queue `other`, and ours for the queue `default`."""
    with program("-m", "tests.interop.peer", log=tmp_path / "celery.log", PEER_BROKER="django://"):
        yield start_worker("--processes=1", f"--queues={OURS}")


def peer() -> Any:
    """Celery in the process that sends."""
    return celery.Celery("sender", broker="django://", backend="cache+memory://", set_as_current=False)


def of_celery(app: Any) -> Callable[..., Any]:
    """Celery's signatures, each for the queue of whoever has the task."""

    def made(name: str, *args: Any, **options: Any) -> Any:
        queue = THEIRS if name.startswith("peer.") else OURS
        return app.signature(name, args=args, options={"queue": queue, **options})

    return made


def theirs(name: str, *args: Any, **options: Any) -> Any:
    return signature(name, args=args, queue=THEIRS, **options)


def back(task: Any, *args: Any) -> Any:
    """A step of ours that comes after one of theirs: Celery's worker would look for it in its own queue."""
    return task.s(*args).set(queue=OURS)


def result_of(id: str) -> Any:
    return AsyncResult(id).get(timeout=PATIENCE)


def test_can_05_a_chain_that_celery_sends_goes_there_and_back(both: RunningWorker) -> None:
    sig = of_celery(peer())

    sent = celery.chain(
        sig("peer.double", 4), sig(add.name, 1), sig("peer.double"), sig(note_value.name), sig(add.name, 2)
    ).apply_async()

    assert result_of(sent.id) == 20
    assert result_of(sent.parent.id) == Entry.objects.get().number == 18


def test_can_05_a_chain_of_ours_goes_there_and_back(both: RunningWorker) -> None:
    sent: Any = chain(
        add.s(1, 3), theirs("peer.double"), back(add, 1), theirs("peer.double"), back(plus, 2)
    ).delay()

    assert result_of(sent.id) == 20
    assert result_of(sent.parent.parent.id) == 9


def test_can_14_ids_go_along_a_chain_that_crosses(both: RunningWorker) -> None:
    """REQ-21, REQ-22."""
    sent: Any = chain(who.s(), theirs("peer.who"), back(who)).delay()
    third, second, first = sent.id, sent.parent.id, sent.parent.parent.id

    assert result_of(third) == {"id": third, "root": first, "parent": second, "group": None}
    row = TaskResult.objects.get(id=third)
    assert (row.root_id, row.parent_id) == (first, second)


def test_exe_07_links_are_called_across(both: RunningWorker) -> None:
    sig = of_celery(peer())

    sig("peer.double", 4).apply_async(link=sig(note_value.name))
    add.apply_async((1, 2), link=theirs("peer.double").set(link=back(note_value)))

    eventually(lambda: Entry.objects.count() == 2, "both callbacks have run")
    assert sorted(Entry.objects.values_list("number", flat=True)) == [6, 8]


def test_exe_08_error_callbacks_are_called_across(both: RunningWorker) -> None:
    sent: Any = chain(add.s(1, 2), theirs("peer.break", link_error=back(on_error_id)), add.s(1)).delay()

    eventually(Entry.objects.exists, "the error callback has run")
    assert Entry.objects.get().task_id == f"failed {sent.parent.id}"


def test_can_11_a_chord_of_ours_goes_to_what_celery_runs(both: RunningWorker) -> None:
    """Celery's worker gets the list, and passes on what it made of it."""
    sent = (group(add.s(1, 1), add.s(2, 2)) | plus.s(0) | theirs("peer.double") | back(plus, 1)).delay()

    assert result_of(sent.id) == 13


def test_can_08_a_group_that_celery_unfolds_is_run(both: RunningWorker) -> None:
    chain(theirs("peer.double", 4), group(back(note_value), back(add, 1))).delay()

    eventually(lambda: TaskResult.objects.filter(task=add.name).final().exists(), "a member has ended")
    eventually(Entry.objects.exists, "the other one has run")
    assert TaskResult.objects.get(task=add.name).result == "9"
    assert Entry.objects.get().number == 8
    assert not QueuedMessage.objects.aside().exists()
