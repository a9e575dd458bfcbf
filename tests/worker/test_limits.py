"""Time limits in every runner (FEATURES OPT-10, OPT-11, WRK-01)."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_tasks import Task, task
from django_tasks.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import (
    clean_up,
    hold,
    hold_untracked,
    loop_in_c,
    note,
    overrun_untracked,
    sleep,
    swallow_soft_limit,
    told_of_its_limit,
    wait_untracked,
)
from tests.workers import Start, eventually, status

RUNNERS = pytest.mark.parametrize(
    "runner", [("--processes=1",), ("--processes=1", "--threads=3")], ids=" ".join
)


@pytest.mark.worker
@RUNNERS
def test_a_body_past_its_soft_limit_can_clean_up(
    start_worker: Start, tmp_path: Path, runner: tuple[str]
) -> None:
    """FEATURES OPT-11."""
    sent = clean_up.delay(str(tmp_path / "gate"))
    start_worker(*runner)

    assert sent.get(timeout=30) == "cleaned up"


@pytest.mark.worker
@RUNNERS
def test_a_soft_limit_that_is_not_caught_is_a_failure_and_the_next_task_is_unharmed(
    start_worker: Start, tmp_path: Path, runner: tuple[str]
) -> None:
    """FEATURES OPT-11."""
    sent = hold.apply_async((str(tmp_path / "gate"),), soft_time_limit=0.2)
    following = note.delay(1)
    start_worker(*runner)

    with pytest.raises(SoftTimeLimitExceeded):
        sent.get(timeout=30)
    assert following.get(timeout=30) == 1
    assert "wait_for(gate)" in (sent.traceback or "")


@pytest.mark.worker
def test_a_soft_limit_interrupts_a_sleep_in_the_main_thread(start_worker: Start) -> None:
    sent = sleep.apply_async((600,), soft_time_limit=0.2)
    start_worker("--processes=1")

    with pytest.raises(SoftTimeLimitExceeded):
        sent.get(timeout=30)


@pytest.mark.worker
@RUNNERS
def test_a_body_that_ignores_its_soft_limit_is_ended_by_the_hard_one(
    start_worker: Start, tmp_path: Path, runner: tuple[str]
) -> None:
    """FEATURES OPT-10."""
    sent = swallow_soft_limit.apply_async((str(tmp_path / "gate"),), soft_time_limit=0.2, time_limit=0.8)
    start_worker(*runner)

    with pytest.raises(TimeLimitExceeded, match=r"0\.8 s"):
        sent.get(timeout=30)
    assert Entry.objects.filter(task_id=sent.id, number=1).count() == 1


@pytest.mark.worker
@RUNNERS
def test_a_loop_that_never_comes_back_to_python_is_ended_even_if_acks_late(
    start_worker: Start, runner: tuple[str]
) -> None:
    sent = loop_in_c.apply_async(time_limit=0.5)
    following = note.delay(1)
    start_worker(*runner)

    with pytest.raises(TimeLimitExceeded):
        sent.get(timeout=30)
    assert following.get(timeout=30) == 1
    row = TaskResult.objects.get(id=sent.id)
    assert (row.crashes, row.started_at is not None, Entry.objects.filter(task_id=sent.id).count()) == (
        0,
        True,
        1,
    )


@pytest.mark.worker
def test_neighbours_in_threads_of_a_killed_process_go_back_and_run_again(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    neighbours = [hold.delay(str(gate)) for _ in range(2)]
    start_worker("--processes=1", "--threads=3")
    eventually(lambda: Entry.objects.count() == 2, "the neighbours run")

    overdue = sleep.apply_async((600,), time_limit=0.3)
    with pytest.raises(TimeLimitExceeded):
        overdue.get(timeout=30)
    gate.touch()

    assert [sent.get(timeout=30) for sent in neighbours] == ["through", "through"]
    assert [TaskResult.objects.get(id=sent.id).crashes for sent in neighbours] == [0, 0]


@pytest.mark.worker
def test_handlers_are_called_for_a_task_whose_process_was_killed(start_worker: Start, tmp_path: Path) -> None:
    sent = told_of_its_limit.delay(str(tmp_path / "gate"))
    start_worker("--processes=1")
    eventually(lambda: status(sent.id) == "FAILURE", "the limit")

    def told() -> list[str]:
        found = (
            Entry.objects.filter(task_id__startswith=sent.id).order_by("id").values_list("task_id", flat=True)
        )
        return [text.removeprefix(f"{sent.id} ").split(" ")[0] for text in found]

    eventually(lambda: "after_return" in told(), "the handlers")
    assert told() == ["before_start", "on_failure", "after_return"]


@pytest.mark.worker
def test_an_untracked_task_that_is_killed_leaves_its_failure_if_its_message_is_kept_and_it_wants_that(
    start_worker: Start, tmp_path: Path
) -> None:
    """FEATURES OPT-10, OPT-13: the message has all that a row is made of."""
    sent = overrun_untracked.delay(str(tmp_path / "gate"))
    start_worker("--processes=1")

    eventually(TaskResult.objects.exists, "its failure")

    row = TaskResult.objects.get()
    assert (row.id, row.task, row.status) == (sent.id, overrun_untracked.name, "FAILURE")
    assert "TimeLimitExceeded" in (row.result or "")
    assert str(tmp_path) in row.args
    assert not QueuedMessage.objects.exists()
    assert note.delay(1).get(timeout=30) == 1
    assert Entry.objects.filter(task_id=sent.id).count() == 1


@pytest.mark.worker
@pytest.mark.parametrize("sender", [hold_untracked, wait_untracked])
def test_of_other_untracked_tasks_that_are_killed_nothing_is_left(
    start_worker: Start, tmp_path: Path, sender: Task[[str], None]
) -> None:
    """One that does not want it (with its message kept), and one of which nobody has anything any more."""
    sent = sender.apply_async((str(tmp_path / "gate"),), time_limit=0.3)
    worker = start_worker("--processes=1")

    eventually(lambda: f"Task {sent.id} runs longer" in worker.output, "the limit")

    assert note.delay(1).get(timeout=30) == 1
    assert Entry.objects.filter(task_id=sent.id).count() == 1
    eventually(lambda: not QueuedMessage.objects.exists(), "its message is settled, too")
    assert not TaskResult.objects.filter(id=sent.id).exists()
    assert "too late" not in worker.output


@pytest.mark.parametrize(
    "options", [{"time_limit": 0}, {"soft_time_limit": -1}, {"time_limit": 1, "soft_time_limit": 2}]
)
def test_impossible_limits_are_refused_where_they_are_written(options: dict[str, float]) -> None:
    """FEATURES OPT-10, OPT-11."""
    with pytest.raises(ValueError, match="time_limit"):
        note.apply_async((1,), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="time_limit"):
        task(name="never", **options)(lambda: None)


def test_a_soft_limit_above_the_hard_one_is_noticed_wherever_they_are_written() -> None:
    with pytest.raises(ValueError, match="comes after"):
        clean_up.apply_async(("gate",), time_limit=0.1)
