"""One owner, one ending, whatever is killed (DESIGN §2, promises 2, 3 and 5)."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from django_tasks import Task
from django_tasks.exceptions import WorkerLostError
from django_tasks.models import QueuedMessage, TaskResult, Worker
from django_tasks.results.async_result import AsyncResult
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, hold_again, leave, leave_orphan, note, poison, poison_untracked
from tests.workers import PATIENCE, Start, all_final, eventually, freeze, status

pytestmark = pytest.mark.worker


def kill_who_runs(sent: AsyncResult[object]) -> None:
    entry = eventually(lambda: Entry.objects.filter(task_id=sent.id).first(), "the body runs")
    assert isinstance(entry, Entry)
    os.kill(entry.pid, signal.SIGKILL)


def runs_of(sent: AsyncResult[object]) -> int:
    return Entry.objects.filter(task_id=sent.id).count()


def test_a_task_whose_process_is_killed_fails_with_worker_lost_error(
    start_worker: Start, tmp_path: Path
) -> None:
    """FEATURES OPT-07."""
    start_worker("--processes=1")
    sent = hold.delay(str(tmp_path / "gate"))

    kill_who_runs(sent)

    with pytest.raises(WorkerLostError, match="died while running it"):
        sent.get(timeout=30)
    assert runs_of(sent) == 1


def test_an_acks_late_task_whose_process_is_killed_runs_again(start_worker: Start, tmp_path: Path) -> None:
    """FEATURES OPT-07."""
    gate = tmp_path / "gate"
    start_worker("--processes=1")
    sent = hold_again.delay(str(gate))

    kill_who_runs(sent)
    eventually(lambda: runs_of(sent) == 2, "a second run")
    gate.touch()

    assert sent.get(timeout=30) == "through"
    assert TaskResult.objects.get(id=sent.id).crashes == 1


def test_what_a_killed_process_had_only_claimed_runs_once(start_worker: Start, tmp_path: Path) -> None:
    short = note.bulk([(number,) for number in range(300)])
    victim = hold.delay(str(tmp_path / "gate"))
    behind = note.bulk([(number,) for number in range(300, 400)])
    start_worker("--processes=1")

    kill_who_runs(victim)
    eventually(all_final, "an ending for every task")

    assert Counter(Entry.objects.exclude(task_id=victim.id).values_list("number", flat=True)) == Counter(
        range(400)
    )
    assert all(status(sent.id) == "SUCCESS" for sent in (*short, *behind))
    assert status(victim.id) == "FAILURE"


def test_with_every_task_process_killed_again_and_again_each_task_has_one_ending(start_worker: Start) -> None:
    note.bulk([(number,) for number in range(3000)])
    worker = start_worker("--processes=2")

    for done in range(300, 3000, 300):
        eventually(lambda done=done: Entry.objects.count() >= done or all_final(), f"{done} runs")
        for pid in worker.children()[1:]:
            os.kill(pid, signal.SIGKILL)
    eventually(all_final, "an ending for every task")

    endings = Counter(TaskResult.objects.values_list("status", flat=True))
    runs = Counter(Entry.objects.values_list("number", flat=True))
    assert sum(endings.values()) == 3000
    assert max(runs.values()) == 1
    # A body that ran while its process died is recorded as lost; all the others ran and are recorded so.
    lost = TaskResult.objects.filter(status="FAILURE")
    assert all("WorkerLostError" in (row.result or "") for row in lost)
    ran = set(Entry.objects.values_list("task_id", flat=True))
    assert ran >= set(TaskResult.objects.filter(status="SUCCESS").values_list("id", flat=True))


def test_a_poison_task_stops_itself_and_harms_no_neighbour(start_worker: Start) -> None:
    poisoned = poison.delay()
    neighbours = note.bulk([(number,) for number in range(50)])
    start_worker("--processes=2")

    with pytest.raises(WorkerLostError, match="crash number 3"):
        poisoned.get(timeout=40)
    for sent in neighbours:
        sent.get(timeout=40)

    assert runs_of(poisoned) == 3
    assert Entry.objects.exclude(task_id=poisoned.id).count() == 50


def test_a_body_that_ends_its_process_as_if_in_peace_is_lost_and_nothing_else(start_worker: Start) -> None:
    sent = leave.delay()
    neighbours = note.bulk([(number,) for number in range(50)])
    start_worker("--processes=1")

    with pytest.raises(WorkerLostError, match="died while running it"):
        sent.get(timeout=40)
    for neighbour in neighbours:
        neighbour.get(timeout=40)

    assert Entry.objects.count() == 51


def test_an_untracked_poison_task_is_set_aside(start_worker: Start) -> None:
    poison_untracked.delay()
    start_worker("--processes=1")

    aside = eventually(lambda: QueuedMessage.objects.aside().first(), "set aside")

    assert isinstance(aside, QueuedMessage)
    assert "died 3 times" in aside.reason
    assert Entry.objects.count() == 3


def test_a_killed_supervisor_takes_its_processes_with_it_and_leaves_nothing_behind(
    start_worker: Start, tmp_path: Path
) -> None:
    cut = hold.delay(str(tmp_path / "gate"))
    worker = start_worker("--processes=2")
    eventually(lambda: runs_of(cut), "the body runs")
    family = worker.children()

    worker.process.kill()

    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), "the whole family is gone")
    assert status(cut.id) == "FAILURE"
    assert not Worker.objects.exists()
    assert not TaskResult.objects.owners()


@pytest.mark.parametrize(("sender", "ending", "runs"), [(hold, "FAILURE", 1), (hold_again, "SUCCESS", 2)])
def test_after_a_kill_of_everything_the_next_worker_ends_what_was_left(
    start_worker: Start, tmp_path: Path, sender: Task[[str], str], ending: str, runs: int
) -> None:
    gate = tmp_path / "gate"
    sent = sender.delay(str(gate))
    first = start_worker("--processes=2", TEST_WORKER_LEASE="2")
    eventually(lambda: runs_of(sent), "the body runs")

    first.kill_group()
    gate.touch()
    later = note.delay(1)
    start_worker("--processes=2", TEST_WORKER_LEASE="2")
    eventually(all_final, "an ending for every task")

    assert (status(sent.id), runs_of(sent)) == (ending, runs)
    assert status(later.id) == "SUCCESS"
    assert Worker.objects.filter(lost_at__isnull=False, recovered=1).count() == 1


def test_a_killed_housekeeper_is_replaced_and_goes_on_rescuing(start_worker: Start, tmp_path: Path) -> None:
    worker = start_worker("--processes=1")
    eventually(lambda: len(worker.children()) == 2)
    first_housekeeper = worker.children()[0]
    sent = hold.delay(str(tmp_path / "gate"))
    eventually(lambda: runs_of(sent), "the body runs")

    os.kill(first_housekeeper, signal.SIGKILL)
    eventually(
        lambda: len(worker.children()) == 2 and first_housekeeper not in worker.children(), "a new one"
    )
    kill_who_runs(sent)

    with pytest.raises(WorkerLostError):
        sent.get(timeout=30)


def test_the_outcome_of_a_process_that_was_given_up_is_refused(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    sent = hold.delay(str(gate))
    frozen = start_worker("--processes=1", TEST_WORKER_LEASE="2")
    eventually(lambda: status(sent.id) == "STARTED", "the body runs, and says so")
    freeze(lambda: os.killpg(frozen.process.pid, signal.SIGSTOP))

    start_worker("--processes=1", TEST_WORKER_LEASE="2")
    eventually(lambda: status(sent.id) == "FAILURE", "given up")
    gate.touch()
    os.killpg(frozen.process.pid, signal.SIGCONT)
    eventually(lambda: "came too late" in frozen.output, "the late outcome is refused")

    assert status(sent.id) == "FAILURE"
    assert runs_of(sent) == 1


def test_what_a_task_leaves_behind_is_buried_by_the_first_process_of_a_container(
    start_worker: Start,
) -> None:
    worker = start_worker("--processes=1", DJANGO_SETTINGS_MODULE="tests.worker.reaping_settings")

    orphan = leave_orphan.delay().get(timeout=PATIENCE)
    eventually(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan is gone, and no zombie")
    worker.terminate()

    assert worker.wait() == 0
    assert "supervisor failed" not in worker.output
