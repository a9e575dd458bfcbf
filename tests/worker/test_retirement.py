"""Task processes that are replaced, and those that are killed for their memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_tasks import clock
from django_tasks.exceptions import WorkerLostError
from django_tasks.execution.outcome import Request
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult, Worker
from django_tasks.service import Wakeup
from django_tasks.worker.board import Board
from django_tasks.worker.memory import resident
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.process import TaskProcess
from django_tasks.worker.retirement import Retirement
from django_tasks.worker.runners.main_thread import MainThreadRunner
from tests.ledger.models import Entry
from tests.ledger.tasks import devour, devour_once, hoard, hold, hold_async, note, note_async
from tests.workers import RunningWorker, Start, all_final, eventually, status


def tasks_of_processes() -> list[int]:
    """How many tasks each process has run, in the order in which they began."""
    return list(Counter(Entry.objects.order_by("id").values_list("pid", flat=True)).values())


def ended_in_peace(worker: RunningWorker) -> bool:
    return not any(word in worker.output for word in ("ERROR", "ended with", "was killed"))


def request(id: str) -> Request:
    return Request(message=TaskMessage(id=id, task=""), worker="w", tracked=False)


# -- after so many tasks


@pytest.mark.worker
@pytest.mark.parametrize("threads", [1, 3])
def test_a_process_that_has_run_its_number_of_tasks_is_replaced_and_a_burst_ends(
    start_worker: Start, threads: int
) -> None:
    for kind in (note, note_async):
        kind.bulk([(number,) for number in range(25)])

    worker = start_worker("--burst", "--processes=1", f"--threads={threads}", "--max-tasks-per-child=20")

    assert worker.wait() == 0
    assert tasks_of_processes() == [20, 20, 10]
    assert all_final()
    assert ended_in_peace(worker)


@pytest.mark.worker
def test_what_runs_in_a_process_to_be_replaced_ends_there_while_another_takes_over(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    long = [hold.delay(str(gate)), hold_async.delay(str(gate))]
    worker = start_worker("--processes=1", "--threads=2", "--max-tasks-per-child=5")
    eventually(lambda: Entry.objects.count() == 2, "the long ones run")
    old = set(Entry.objects.values_list("pid", flat=True))

    short = note.bulk([(number,) for number in range(20)])
    for sent in short:
        sent.get(timeout=30)
    assert {status(sent.id) for sent in long} == {"STARTED"}
    assert Entry.objects.exclude(pid__in=old).count() == 17
    gate.touch()

    assert [sent.get(timeout=30) for sent in long] == ["through", "through"]
    assert not any(TaskResult.objects.values_list("crashes", flat=True))
    assert ended_in_peace(worker)


def test_a_process_that_is_full_of_its_last_tasks_has_no_room_for_another_beside_it() -> None:
    """Else there would be more tasks at a time than were asked for."""
    options = WorkerOptions(queues=("default",), threads=2, max_tasks_per_child=2)
    (seat,) = Board(1, options.threads, "w", coroutines=options.concurrency).seats
    seat.take(1)
    process = TaskProcess(options=options, seat=seat)
    for slot in range(2):
        process.runner.begin(slot, request(f"{slot}"))

    process.consumer.turn()
    assert (process.consumer.retiring, seat.retires) == (True, False)

    del process.runner.underway[0]
    process.consumer.turn()
    assert seat.retires


# -- with so much memory


@pytest.mark.worker
def test_a_process_that_has_grown_is_replaced_when_its_task_has_ended(start_worker: Start) -> None:
    sent = [hoard.delay(megabytes) for megabytes in (0, 0, 300, 0, 0)]

    worker = start_worker("--burst", "--processes=1", "--max-memory-per-child=250000")

    assert worker.wait() == 0
    assert tasks_of_processes() == [3, 2]
    assert {status(one.id) for one in sent} == {"SUCCESS"}
    assert ended_in_peace(worker)
    assert "before it runs anything" not in worker.output


@pytest.mark.worker
def test_one_that_is_too_large_from_the_start_runs_one_task_and_the_log_says_so_once(
    start_worker: Start, tmp_path: Path
) -> None:
    """And each of them says hello and goodbye as any other."""
    note.bulk([(number,) for number in range(4)])

    worker = start_worker(
        "--burst",
        "--processes=1",
        "--max-memory-per-child=1000",
        DJANGO_SETTINGS_MODULE="tests.observability.observed_settings",
        TOLD=str(tmp_path / "told"),
        MAILS=str(tmp_path),
    )

    assert worker.wait() == 0
    assert tasks_of_processes() == [1] * 4
    assert worker.output.count("kB before it runs anything") == 1
    heard = (tmp_path / "told").read_text()
    assert heard.count('"worker_process_init"') == heard.count('"worker_process_shutdown"') == 5


def test_a_process_that_has_begun_nothing_is_never_replaced() -> None:
    (seat,) = Board(1, 1, "w").seats
    seat.take(2)
    retirement = Retirement(WorkerOptions(queues=(), max_memory_per_child=1), seat)

    assert not retirement.is_due()
    assert retirement.lets_begin()
    assert retirement.is_due()


@pytest.mark.parametrize(
    ("limits", "guilty"),
    [
        ({"max_memory_per_child": 1}, "--max-memory-per-child"),
        ({"max_memory": 1}, "--max-memory"),
        ({"max_memory_per_child": 2, "max_memory": 1}, "--max-memory"),
        ({"max_memory_per_child": 1, "max_memory": 2}, "--max-memory-per-child"),
    ],
)
def test_the_log_names_the_limit_that_is_too_low(
    limits: dict[str, int], guilty: str, caplog: pytest.LogCaptureFixture
) -> None:
    (seat,) = Board(1, 1, "w").seats
    seat.take(1)

    Retirement(WorkerOptions(queues=(), **limits), seat).lets_begin()

    assert [message.partition("Raise ")[2] for message in caplog.messages] == [guilty]


# -- with far too much


@pytest.mark.worker
def test_a_task_that_takes_all_memory_stops_itself_and_harms_no_neighbour(start_worker: Start) -> None:
    late, once = devour.delay(), devour_once.delay()
    neighbours = note.bulk([(number,) for number in range(30)])
    limit = 300_000
    worker = start_worker("--processes=2", f"--max-memory={limit}")
    largest = 0

    def both_failed() -> bool:
        nonlocal largest
        largest = max(largest, *map(resident, worker.children() or [0]))
        return {status(late.id), status(once.id)} == {"FAILURE"}

    eventually(both_failed, "an end for both")
    for sent in neighbours:
        sent.get(timeout=30)

    for lost, runs in ((late, 3), (once, 1)):
        with pytest.raises(WorkerLostError, match=f"used more than --max-memory {limit} kB"):
            lost.get(timeout=30)
        assert Entry.objects.filter(task_id=lost.id).count() == runs
    assert worker.output.count(f"more than --max-memory {limit}: killing it while it runs") == 4
    assert largest < limit + 150_000


def test_above_the_hard_limit_nothing_begins_that_would_be_killed_for_what_another_took() -> None:
    (seat,) = Board(1, 2, "w").seats
    seat.take(2)
    options = WorkerOptions(queues=(), max_memory=1)
    runner = MainThreadRunner(seat=seat, slots=2, done=Wakeup(), retirement=Retirement(options, seat))
    first, second = request("1"), request("2")

    assert runner.begin(0, first)
    assert not runner.begin(1, second)
    assert list(runner.refused) == [second]


# -- where it cannot be


@pytest.mark.django_db
@pytest.mark.parametrize("option", ["--max-tasks-per-child", "--max-memory-per-child", "--max-memory"])
def test_a_worker_in_one_process_refuses_limits_of_its_processes(option: str) -> None:
    with pytest.raises(CommandError, match=f"^{option}: with --processes 0"):
        call_command("runworker", "--processes=0", f"{option}=100000")


@pytest.mark.django_db
def test_a_limit_that_no_process_can_keep_is_refused() -> None:
    with pytest.raises(CommandError, match=r"^--max-memory: a process has \d+ kB before it runs anything"):
        call_command("runworker", "--max-memory=1000")


# -- after the worker was taken for dead


@pytest.mark.worker
def test_a_worker_that_was_given_up_replaces_its_processes_when_it_is_back(
    start_worker: Start, tmp_path: Path
) -> None:
    """What they had claimed is somebody else's, or has ended: no body of it begins, and what runs is not recorded."""
    gate = tmp_path / "gate"
    sent = hold.delay(str(gate))
    worker = start_worker("--processes=1", TEST_WORKER_LEASE="3")
    eventually(lambda: Entry.objects.count() == 1, "it runs")
    (_, old) = worker.children()

    rows = TaskResult.objects.filter(id=sent.id)
    assert rows.update(claimed_by=None, status="FAILURE", finished_at=clock.to_storage(clock.now()))
    Worker.objects.update(lost_at=clock.to_storage(clock.now()))
    eventually(lambda: "had been given up" in worker.output, "it is back")
    gate.touch()

    assert note.delay(1).get(timeout=45) == 1
    eventually(lambda: len(worker.children()) == 2 and old not in worker.children(), "another process")
    assert status(sent.id) == "FAILURE"
    assert ended_in_peace(worker)
