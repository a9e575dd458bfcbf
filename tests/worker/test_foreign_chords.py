"""Chords that a real Celery program sends to our workers: each task of the header, and a `celery.chord_unlock`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_tasks import AsyncResult, app, states
from django_tasks.exceptions import ChordError
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import add, constant, fail, note_untracked, on_error_id, total
from tests.workers import PATIENCE, Start, all_final, eventually

celery = pytest.importorskip("celery", reason="Celery is not installed: there is nobody who sends")
pytestmark = pytest.mark.worker
Run = Callable[[], None]


@pytest.fixture
def run_all(start_worker: Start) -> Run:
    """Has a worker run all that waits, the unlocks too: Celery wants them a second later."""

    def run() -> None:
        worker = start_worker("--processes=2")
        eventually(lambda: not waiting().exists() and all_final(), "everything has been run")
        worker.terminate()
        assert worker.wait() == 0, worker.output

    return run


def waiting() -> Any:
    return QueuedMessage.objects.exclude(state=QueuedMessage.State.ASIDE)


@pytest.fixture
def of_celery(tmp_path: Path) -> Callable[..., Any]:
    """Celery's signatures, in a program whose result backend does not count itself."""
    results = tmp_path / "results"
    results.mkdir()
    sender = celery.Celery("sender", broker="django://", backend=f"file://{results}", set_as_current=False)
    sender.conf.task_default_queue = "default"

    def made(task: Any, *args: Any, **options: Any) -> Any:
        return sender.signature(task.name, args=args, options=options)

    return made


def keep_back_the_unlock() -> Callable[[], object]:
    """Answers what delivers it."""
    unlock = QueuedMessage.objects.filter(payload__contains="celery.chord_unlock")
    unlock.update(state=QueuedMessage.State.ASIDE)
    assert unlock.count() == 1
    return unlock.make_ready


def result_of(sent: Any) -> Any:
    return AsyncResult(sent.id).get(timeout=0)


def test_blt_06_the_body_gets_the_results_of_the_header(start_worker: Start, of_celery: Any) -> None:
    sent = celery.chord(
        [of_celery(add, number, number) for number in range(10)], of_celery(total)
    ).apply_async()

    start_worker("--processes=2")

    assert AsyncResult(sent.id).get(timeout=PATIENCE) == 90
    eventually(lambda: not QueuedMessage.objects.exists(), "the unlock has been run")
    assert TaskResult.objects.filter(task=total.name).count() == 1


def test_a_header_that_ended_before_the_unlock_is_counted(run_all: Run, of_celery: Any) -> None:
    sent = celery.chord([of_celery(add, 1, 1), of_celery(add, 2, 2)], of_celery(total)).apply_async()
    deliver_unlock = keep_back_the_unlock()
    run_all()
    assert TaskResult.objects.final().count() == 2

    deliver_unlock()
    run_all()

    assert result_of(sent) == 6


def test_a_header_that_ended_in_part_before_the_unlock_is_counted(
    start_worker: Start, run_all: Run, of_celery: Any
) -> None:
    sent = celery.chord(
        [of_celery(add, 1, 1), of_celery(add, 2, 2, queue="other")], of_celery(total)
    ).apply_async()
    deliver_unlock = keep_back_the_unlock()
    start_worker("--queues=default")
    eventually(TaskResult.objects.final().exists, "a task of the header has ended")

    deliver_unlock()

    group: Any = eventually(TaskGroup.objects.filter(pending=1).first, "the ended one is counted")
    assert (group.total, group.completed, group.finished_at) == (2, 1, None)
    run_all()
    assert result_of(sent) == 6


def test_an_unlock_that_comes_twice_sends_the_body_once(run_all: Run, of_celery: Any) -> None:
    sent = celery.chord([of_celery(add, 1, 1), of_celery(add, 2, 2)], of_celery(total)).apply_async()
    unlock = QueuedMessage.objects.get(payload__contains="celery.chord_unlock")
    for _doubled in range(3):
        unlock.pk = None
        unlock.save()

    run_all()

    assert result_of(sent) == 6
    assert TaskResult.objects.count() == 3
    assert not QueuedMessage.objects.exists()


def test_the_results_keep_the_order_of_the_header(run_all: Run, of_celery: Any) -> None:
    header = [of_celery(constant, letter) for letter in "edcba"]
    sent = celery.chord(header, of_celery(constant)).apply_async()

    run_all()

    assert result_of(sent) == list("edcba")


def test_steps_and_chords_in_a_header_count_with_their_last_task(run_all: Run, of_celery: Any) -> None:
    inner = celery.chord([of_celery(add, 10, 10), of_celery(add, 20, 20)], of_celery(total))
    header = [celery.chain(of_celery(add, 1, 1), of_celery(add, 5)), inner, of_celery(add, 100, 100)]
    sent = celery.chord(header, of_celery(constant)).apply_async()

    run_all()

    assert result_of(sent) == [7, 60, 200]


def test_a_member_of_a_header_that_ends_in_a_group_counts_as_one(run_all: Run, of_celery: Any) -> None:
    ends_in_group = celery.chain(of_celery(add, 1, 1), celery.group(of_celery(add, 5), of_celery(add, 6)))
    sent = celery.chord([ends_in_group, of_celery(add, 100, 100)], of_celery(constant)).apply_async()

    run_all()

    assert result_of(sent) == [[7, 8], 200]


def test_a_body_that_is_a_chain_goes_on(run_all: Run, of_celery: Any) -> None:
    body = celery.chain(of_celery(total), of_celery(add, 1))
    sent = celery.chord([of_celery(add, 1, 1), of_celery(add, 2, 2)], body).apply_async()

    run_all()

    assert result_of(sent) == 7


def test_a_header_that_fails_ends_the_body(run_all: Run, of_celery: Any) -> None:
    body = of_celery(total).on_error(of_celery(on_error_id))
    sent = celery.chord([of_celery(add, 1, 1), of_celery(fail, "bang")], body).apply_async()

    run_all()

    with pytest.raises(ChordError, match="bang"):
        result_of(sent)
    assert Entry.objects.get().task_id == f"failed {sent.id}"


def test_a_task_that_ignores_its_result_counts_in_a_header(run_all: Run, of_celery: Any) -> None:
    header = [of_celery(note_untracked, 1), of_celery(add, 2, 2)]
    sent = celery.chord(header, of_celery(constant)).apply_async()

    run_all()

    assert result_of(sent) == [None, 4]


def test_many_chords_at_once_are_each_counted_right(start_worker: Start, of_celery: Any) -> None:
    sent = [
        celery.chord([of_celery(add, number, n) for n in range(3)], of_celery(total)).apply_async()
        for number in range(30)
    ]

    start_worker("--processes=2")

    found = [AsyncResult(one.id).get(timeout=PATIENCE) for one in sent]
    assert found == [3 * number + 3 for number in range(30)]
    assert TaskResult.objects.filter(task=total.name).count() == 30


@pytest.mark.parametrize("result", [None, [5], [[5]], [[[5, None], None]], "id"])
def test_an_unlock_that_makes_no_sense_fails_and_counts_nothing(run_all: Run, result: Any) -> None:
    sent: Any = app.send_task("celery.chord_unlock", ("some", dict(total.s())), {"result": result})

    run_all()

    assert sent.state == states.FAILURE
    assert not TaskGroup.objects.exists()
