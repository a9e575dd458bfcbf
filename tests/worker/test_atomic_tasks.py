"""Atomic tasks in workers that are killed: effects and SUCCESS are there together or not at all (DESIGN §2)."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from django_tasks.exceptions import WorkerLostError
from django_tasks.models import TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import (
    end_atomically,
    hold_atomically,
    note,
    note_atomically,
    note_under_a_fate,
    poison_atomically,
    told_atomically,
)
from tests.workers import RunningWorker, Start, all_final, eventually, status

pytestmark = pytest.mark.worker

#: How many task processes the proof kills. Each costs about a second.
KILLS = int(os.environ.get("TEST_ATOMIC_KILLS", "20"))


def entries(id: str) -> int:
    return Entry.objects.filter(task_id=id).count()


def who_runs(gate: Path) -> int:
    marker = gate.with_name(f"{gate.name}.pid")
    text = eventually(lambda: marker.exists() and marker.read_text(), "the body runs")
    marker.unlink()
    return int(str(text))


@pytest.mark.timeout(120 + 10 * KILLS)
def test_whenever_a_process_is_killed_effects_and_success_are_there_together_or_not_at_all(
    start_worker: Start, tmp_path: Path
) -> None:
    for fate in range(KILLS):
        (tmp_path / f"fate{fate}").touch()
    sent: dict[str, int] = {}
    worker = start_worker("--processes=2")

    def are_met() -> bool:
        return not any(tmp_path.glob("fate*"))

    while not are_met():
        numbers = range(len(sent), len(sent) + 50)
        results = note_under_a_fate.bulk([(number, str(tmp_path)) for number in numbers])
        sent |= {result.id: number for result, number in zip(results, numbers, strict=True)}
        eventually(lambda: are_met() or all_final(), "all are killed or done")
    eventually(all_final, "an ending for every task")

    endings = dict(TaskResult.objects.filter(id__in=sent).values_list("id", "status"))
    effects = Counter(Entry.objects.filter(task_id__in=sent).values_list("task_id", flat=True))
    follow_ups = Counter(TaskResult.objects.filter(task=note.name).values_list("args", flat=True))
    assert (
        worker.output.count("was killed by SIGALRM") >= KILLS * 3 // 4
    )  # two fates may be met in one process
    assert endings.keys() == sent.keys()
    # One that was hit three times ends as FAILURE, and did nothing.
    assert effects == {id: 1 for id, ending in endings.items() if ending == "SUCCESS"}
    assert follow_ups == {f"({sent[id]},)": 1 for id in effects}
    assert set(endings.values()) <= {"SUCCESS", "FAILURE"}
    assert len(effects) >= len(sent) - KILLS // 3


def test_whatever_acks_late_says_it_runs_again_because_nothing_had_happened(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold_atomically.delay(str(gate))
    start_worker("--processes=1")

    os.kill(who_runs(gate), signal.SIGKILL)
    who_runs(gate)
    assert (entries(sent.id), status(sent.id) == "SUCCESS") == (0, False)
    gate.touch()

    assert sent.get(timeout=30) == "through"
    assert entries(sent.id) == 1
    assert TaskResult.objects.get(id=sent.id).crashes == 1
    assert TaskResult.objects.filter(task=note.name).count() == 1


def test_one_that_kills_its_process_each_time_ends_without_effects(start_worker: Start) -> None:
    sent = poison_atomically.delay()
    start_worker("--processes=1")

    with pytest.raises(WorkerLostError, match="crash number 3"):
        sent.get(timeout=40)

    assert entries(sent.id) == 0


def test_at_the_end_of_the_grace_it_is_rolled_back_and_runs_again_elsewhere(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold_atomically.delay(str(gate))
    first = start_worker("--processes=1", "--grace=0")
    who_runs(gate)

    first.terminate()
    first.wait()
    assert (entries(sent.id), status(sent.id)) == (0, "PENDING")
    gate.touch()
    start_worker("--processes=1")

    assert sent.get(timeout=30) == "through"
    assert TaskResult.objects.get(id=sent.id).crashes == 0


@pytest.mark.parametrize(
    "size", [("--processes=1", "--threads=4"), ("--processes=2",), ("--processes=0",)], ids=" ".join
)
def test_many_at_once_wait_for_each_other_and_for_nobody_else(
    run_burst: Callable[..., RunningWorker], size: tuple[str, ...]
) -> None:
    sent = [*note_atomically.bulk([(number,) for number in range(100)]), *note.bulk([()] * 100)]

    worker = run_burst(*size)

    assert Counter(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS": len(sent)}
    assert Entry.objects.count() == len(sent)
    assert "and tries again" not in worker.output
    assert "too late" not in worker.output


def test_while_a_long_one_runs_its_process_settles_others_as_far_as_the_database_lets_it(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    start_worker("--processes=1", "--threads=4")
    long = hold_atomically.delay(str(gate))
    who_runs(gate)
    if connection.vendor == "sqlite":
        # Nobody else can write now, not even to send; what waits for the lock gets it when the gate opens.
        gate.touch()
        others = note.bulk([()] * 20)
    else:
        others = note.bulk([()] * 20)
        for other in others:
            other.get(timeout=30)
        assert status(long.id) == "STARTED"
        gate.touch()

    assert long.get(timeout=30) == "through"
    assert [other.get(timeout=30) for other in others] == [0] * 20


def test_endings_of_every_kind_in_a_real_worker(run_burst: Callable[..., RunningWorker]) -> None:
    endings = {
        "return": ("SUCCESS", 1),
        "raise": ("FAILURE", 0),
        "retry": ("SUCCESS", 1),
        "ask for a retry": ("SUCCESS", 2),
        "ignore": ("IGNORED", 0),
        "bad hook": ("SUCCESS", 1),
    }
    sent = {how: end_atomically.delay(how) for how in endings}

    run_burst("--processes=2")

    assert {how: (status(result.id), entries(result.id)) for how, result in sent.items()} == endings


def test_handlers_are_called_after_the_commit(run_burst: Callable[..., RunningWorker]) -> None:
    sent = told_atomically.delay()

    run_burst("--processes=1")

    told = Entry.objects.filter(task_id__startswith=f"{sent.id} ").order_by("at")
    assert [entry.task_id.split()[1] for entry in told] == ["before_start", "on_success", "after_return"]
    assert sent.get(timeout=1) is True
