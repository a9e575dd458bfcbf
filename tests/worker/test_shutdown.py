"""Deploys burn nothing (DESIGN §2, promise 4)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from django_tasks import app
from django_tasks.exceptions import WorkerLostError
from django_tasks.models import QueuedMessage, TaskResult, Worker
from django_tasks.results.async_result import AsyncResult
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, hold_again, note
from tests.workers import Start, eventually, status

pytestmark = pytest.mark.worker


def begins(sent: AsyncResult[object]) -> None:
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")


def test_at_sigterm_what_runs_ends_and_the_rest_goes_back_at_once(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    running = hold.delay(str(gate))
    behind = note.bulk([(number,) for number in range(100)])
    worker = start_worker("--processes=1")
    begins(running)

    worker.terminate()
    eventually(lambda: "Ending: " in worker.output, "it has heard")
    eventually(lambda: QueuedMessage.objects.ready().count() == len(behind), "all unstarted ones are back")
    gate.touch()

    assert worker.wait() == 0
    assert status(running.id) == "SUCCESS"
    assert TaskResult.objects.waiting().count() == len(behind)
    assert not Worker.objects.exists()


def test_what_went_back_keeps_its_place_in_the_queue(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = hold.delay(str(gate))
    first = note.delay(1)
    worker = start_worker("--processes=1")
    begins(running)
    worker.terminate()
    gate.touch()
    worker.wait()
    note.delay(2)

    start_worker("--processes=1", "--burst").wait()

    assert list(Entry.objects.filter(number__gt=0).order_by("at").values_list("number", flat=True)) == [1, 2]
    assert status(first.id) == "SUCCESS"


def test_a_task_that_outlasts_the_grace_period_is_cut_and_fails(start_worker: Start, tmp_path: Path) -> None:
    sent = hold.delay(str(tmp_path / "gate"))
    worker = start_worker("--processes=1", "--grace=0.2")
    begins(sent)

    worker.terminate()

    assert worker.wait() == 0
    with pytest.raises(WorkerLostError, match="grace at a shutdown"):
        sent.get()


def test_an_acks_late_task_that_is_cut_goes_back_and_no_crash_is_counted(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold_again.delay(str(gate))
    worker = start_worker("--processes=1", "--grace=0.2")
    begins(sent)

    worker.terminate()
    worker.wait()

    row = TaskResult.objects.get(id=sent.id)
    assert (row.status, row.crashes, row.claimed_by) == ("PENDING", 0, None)
    assert QueuedMessage.objects.ready().count() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_now(start_worker: Start, tmp_path: Path, number: signal.Signals) -> None:
    sent = hold.delay(str(tmp_path / "gate"))
    worker = start_worker("--processes=1", "--grace=600")
    begins(sent)

    worker.process.send_signal(number)
    eventually(lambda: "a second signal ends them now" in worker.output)
    worker.process.send_signal(number)

    assert worker.wait() == 0
    assert status(sent.id) == "FAILURE"


def test_ctrl_c_on_a_terminal_reaches_the_whole_family_and_is_warm_too(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold.delay(str(gate))
    worker = start_worker("--processes=2")
    begins(sent)

    os.killpg(worker.process.pid, signal.SIGINT)
    eventually(lambda: "Ending" in worker.output)
    gate.touch()

    assert worker.wait() == 0
    assert status(sent.id) == "SUCCESS"


def test_an_idle_worker_ends_at_once(start_worker: Start) -> None:
    worker = start_worker("--processes=2", "--threads=4")
    eventually(lambda: Worker.objects.exists())

    worker.terminate()

    assert worker.wait() == 0
    assert not Worker.objects.exists()


def test_a_worker_in_one_process_ends_in_peace_too(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    sent = hold.delay(str(gate))
    worker = start_worker("--processes=0")
    begins(sent)

    worker.terminate()
    gate.touch()

    assert worker.wait() == 0
    assert status(sent.id) == "SUCCESS"
    assert not Worker.objects.exists()


def test_a_stop_that_comes_before_a_process_is_ready_for_it_is_not_lost(
    start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(
        "--processes=1",
        "--grace=600",
        DJANGO_SETTINGS_MODULE="tests.worker.slow_birth_settings",
        GATES=str(tmp_path),
    )
    for kind in ("Housekeeper", "TaskProcess"):
        eventually((tmp_path / kind).with_suffix(".born").exists, "both are born")
    housekeeper, task_process = worker.children()

    worker.terminate()
    for pid, kind in ((task_process, "TaskProcess"), (housekeeper, "Housekeeper")):
        eventually(lambda pid=pid: is_pending(signal.SIGTERM, pid), f"{kind} is asked to end")
        (tmp_path / kind).touch()

    assert worker.wait() == 0


def is_pending(number: signal.Signals, pid: int) -> bool:
    """Was it sent, and not heard yet?"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd"))
    return bool(mask >> (number - 1) & 1)


@pytest.mark.parametrize("size", ["--processes=1", "--processes=0"])
def test_a_drained_worker_takes_nothing_more_and_ends_when_it_is_idle(
    start_worker: Start, tmp_path: Path, size: str
) -> None:
    gate = tmp_path / "gate"
    running = hold.delay(str(gate))
    worker = start_worker(size, "--grace=0")
    begins(running)

    assert app.control.drain() == 1
    eventually(lambda: Worker.objects.filter(ending_at__isnull=False).exists(), "it says so")
    later = note.delay(1)
    assert worker.process.poll() is None
    gate.touch()

    assert worker.wait() == 0
    assert (status(running.id), status(later.id)) == ("SUCCESS", "PENDING")
    assert not Worker.objects.exists()


def test_a_signal_gives_what_is_being_drained_its_grace(start_worker: Start, tmp_path: Path) -> None:
    sent = hold.delay(str(tmp_path / "gate"))
    worker = start_worker("--processes=1", "--grace=0.2")
    begins(sent)
    app.control.drain()
    eventually(lambda: "Draining: " in worker.output, "it has heard")

    worker.terminate()

    assert worker.wait() == 0
    with pytest.raises(WorkerLostError, match="grace at a shutdown"):
        sent.get()


def test_a_worker_says_how_much_memory_it_has_and_how_much_it_runs(
    start_worker: Start, tmp_path: Path
) -> None:
    sent = hold.delay(str(tmp_path / "gate"))
    start_worker("--processes=1", TEST_WORKER_LEASE="1.5")
    begins(sent)

    eventually(lambda: Worker.objects.filter(busy=1).exists(), "the next renewal")

    assert Worker.objects.get().memory > 10_000_000
