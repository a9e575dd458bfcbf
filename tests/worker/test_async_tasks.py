"""`async def` tasks in real workers: many at a time, each with its own request, ended like all others."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from django_tasks.exceptions import SoftTimeLimitExceeded, WorkerLostError
from django_tasks.models import TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import (
    clean_up_async,
    end_async,
    hold,
    hold_async,
    hold_async_again,
    ignore_its_limit,
    name_connections,
    nap,
    note,
    note_async,
    own_request,
    send_another_async,
    told_async,
)
from tests.workers import RunningWorker, Start, all_final, eventually, status

pytestmark = pytest.mark.worker

Burst = Callable[..., RunningWorker]


def entries(id: str) -> int:
    return Entry.objects.filter(task_id=id).count()


def test_a_thousand_naps_are_had_many_at_a_time_in_one_process(run_burst: Burst) -> None:
    naps = nap.bulk([(0.05,)] * 1000)

    run_burst("--processes=1", "--concurrency=100")

    seen = [result.get(timeout=1) for result in naps]
    assert TaskResult.objects.filter(status="SUCCESS").count() == 1000
    assert 20 < max(seen) <= 100


def test_concurrency_is_the_most_that_run_at_a_time(run_burst: Burst) -> None:
    naps = nap.bulk([(0.2,)] * 15)  # long enough for several to begin in, on any machine

    run_burst("--processes=1", "--concurrency=3")

    assert max(result.get(timeout=1) for result in naps) == 3


def test_each_has_a_request_of_its_own(run_burst: Burst) -> None:
    sent = [own_request.delay(str(number)) for number in range(100)]

    run_burst("--processes=1")

    assert [result.get(timeout=1) for result in sent] == [
        [result.id, result.id, str(number)] for number, result in enumerate(sent)
    ]


@pytest.mark.parametrize(
    "size", [("--processes=2",), ("--processes=1", "--threads=3"), ("--processes=0",)], ids=" ".join
)
def test_both_kinds_wait_in_one_queue_and_each_runs_once(run_burst: Burst, size: tuple[str, ...]) -> None:
    for number in range(0, 300, 2):
        note.delay(number)
        note_async.delay(number + 1)

    run_burst(*size)

    assert Counter(Entry.objects.values_list("number", flat=True)) == Counter(range(300))
    assert TaskResult.objects.filter(status="SUCCESS").count() == 300


def test_coroutines_run_while_every_slot_is_taken_by_a_long_task(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    start_worker("--processes=1")
    long = hold.delay(str(gate))
    eventually(lambda: entries(long.id), "the long one runs")

    coroutines = [note_async.delay(number) for number in range(20)]
    assert [result.get(timeout=30) for result in coroutines] == list(range(20))
    assert status(long.id) == "STARTED"
    gate.touch()

    assert long.get(timeout=30) == "through"


def test_plain_tasks_run_while_the_loop_is_full(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    start_worker("--processes=1", "--concurrency=2")
    waiting = [hold_async.delay(str(gate)) for _ in range(4)]
    eventually(lambda: Entry.objects.count() == 2, "the loop is full")

    plain = [note.apply_async((number,), priority=0) for number in range(5)]
    more = note.apply_async((9,), queue="other")
    assert more.get(timeout=30) == 9
    gate.touch()

    assert [result.get(timeout=30) for result in (*waiting, *plain)] == ["through"] * 4 + list(range(5))


def test_what_has_no_room_is_not_hoarded_but_taken_by_whoever_has(
    start_worker: Start, tmp_path: Path
) -> None:
    gate, other_gate = tmp_path / "gate", tmp_path / "other"
    nap.bulk([(0.001,)] * 50)
    busy = start_worker("--processes=1", "--name=busy")
    eventually(all_final, "it has learned that coroutines come here")
    long = hold.delay(str(gate))
    eventually(lambda: entries(long.id), "its slot is taken")

    held = [hold.delay(str(other_gate)) for _ in range(3)]
    start_worker("--processes=3", "--name=free")
    eventually(lambda: all(entries(result.id) for result in held), "the free ones run them")
    other_gate.touch()
    gate.touch()
    eventually(all_final)

    workers = TaskResult.objects.filter(id__in=[result.id for result in held]).values_list(
        "worker", flat=True
    )
    assert all(worker.startswith("free@") for worker in workers)
    busy.terminate()


def test_a_long_one_is_shown_as_started(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    sent = hold_async.delay(str(gate))
    start_worker("--processes=1")

    eventually(lambda: status(sent.id) == "STARTED", "shown")
    gate.touch()

    assert sent.get(timeout=30) == "through"


def test_endings_of_every_kind(run_burst: Burst) -> None:
    endings = {
        "return": "SUCCESS",
        "raise": "FAILURE",
        "cancelled": "FAILURE",
        "cancel itself": "FAILURE",
        "exit": "FAILURE",
        "retry": "SUCCESS",
        "ignore": "IGNORED",
        "sync orm": "FAILURE",
    }
    sent = {how: end_async.delay(how) for how in endings}

    worker = run_burst("--processes=1")

    assert {how: status(result.id) for how, result in sent.items()} == endings
    assert "SynchronousOnlyOperation" in (sent["sync orm"].traceback or "")
    assert 'raise ValueError("bang")' in (sent["raise"].traceback or "")
    assert "django_tasks/execution" not in (sent["raise"].traceback or "")
    assert "was never awaited" not in worker.output


def test_handlers_are_called_where_the_database_may_be_used(run_burst: Burst) -> None:
    good, bad = told_async.delay("success"), told_async.delay("failure")

    run_burst("--processes=1")

    told = [entry.task_id.split()[:2] for entry in Entry.objects.order_by("at", "id")]
    assert [what for id, what in told if id == good.id] == ["before_start", "on_success", "after_return"]
    assert [what for id, what in told if id == bad.id] == ["before_start", "on_failure", "after_return"]
    assert (status(good.id), status(bad.id)) == ("SUCCESS", "FAILURE")


def test_they_send_others_without_holding_up_the_loop(run_burst: Burst) -> None:
    sent = send_another_async.delay(5)

    run_burst("--processes=1")

    children = sent.get(timeout=1)
    assert [TaskResult.objects.get(id=id).result for id in children] == ["5", "5"]
    assert TaskResult.objects.filter(parent_id=sent.id).count() == 2


@pytest.mark.parametrize(
    ("sender", "ending", "runs"), [(hold_async, "FAILURE", 1), (hold_async_again, "SUCCESS", 2)]
)
def test_a_killed_process_names_all_that_ran_on_its_loop(
    start_worker: Start, tmp_path: Path, sender: object, ending: str, runs: int
) -> None:
    gate = tmp_path / "gate"
    sent = sender.bulk([(str(gate),)] * 30)  # type: ignore[attr-defined]
    worker = start_worker("--processes=1")
    eventually(lambda: Entry.objects.count() == 30, "all run")

    os.kill(worker.children()[1], signal.SIGKILL)
    if runs == 2:
        eventually(lambda: Entry.objects.count() == 60, "all run again")
    gate.touch()
    eventually(all_final, "an ending for every task")

    assert {status(result.id) for result in sent} == {ending}
    assert {entries(result.id) for result in sent} == {runs}
    if ending == "FAILURE":
        with pytest.raises(WorkerLostError, match="died while running it"):
            sent[0].get(timeout=1)


def test_a_warm_stop_waits_for_what_runs(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    sent = hold_async.bulk([(str(gate),)] * 20)
    worker = start_worker("--processes=1", "--concurrency=10")
    eventually(lambda: Entry.objects.count() == 10, "the loop is full")

    worker.terminate()
    eventually(lambda: "Ending" in worker.output)
    gate.touch()

    assert worker.wait() == 0
    assert Counter(status(result.id) for result in sent) == {"SUCCESS": 10, "PENDING": 10}


def test_at_the_end_of_the_grace_they_are_cut(start_worker: Start, tmp_path: Path) -> None:
    sent = hold_async.bulk([(str(tmp_path / "gate"),)] * 5)
    worker = start_worker("--processes=1", "--grace=0.1")
    eventually(lambda: Entry.objects.count() == 5, "all run")

    worker.terminate()

    assert worker.wait() == 0
    with pytest.raises(WorkerLostError, match="grace"):
        sent[0].get(timeout=1)


@pytest.mark.parametrize("how", ["plain", "group", "timeout"])
def test_a_soft_time_limit_is_raised_where_the_body_waits(run_burst: Burst, tmp_path: Path, how: str) -> None:
    sent = clean_up_async.delay(str(tmp_path / "gate"), how)

    run_burst("--processes=1")

    # The loop's own task, the body, and none that the body left behind.
    assert sent.get(timeout=1) in ("cleaned up, 2", "cleaned up, 3")


def test_one_that_does_not_expect_its_limit_fails_with_it(run_burst: Burst, tmp_path: Path) -> None:
    sent = ignore_its_limit.delay(str(tmp_path / "gate"))

    run_burst("--processes=1")

    with pytest.raises(SoftTimeLimitExceeded):
        sent.get(timeout=1)


#: How databases name the connection that asks, and all that there are.
ALL_CONNECTIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity",
    "mysql": "SELECT id FROM information_schema.processlist",
}


@pytest.mark.skipif(connection.vendor not in ALL_CONNECTIONS, reason="has no list of connections")
def test_coroutines_share_a_connection_which_stays_while_one_uses_it_and_is_closed_then(
    start_worker: Start,
) -> None:
    def still_open() -> set[int]:
        with connection.cursor() as cursor:
            cursor.execute(ALL_CONNECTIONS[connection.vendor])
            return {id for (id,) in cursor.fetchall()}

    start_worker("--processes=1")
    sent = name_connections.bulk([(0.05,)] * 300)

    pairs = [result.get(timeout=30) for result in sent]
    assert all(before == after for before, after in pairs)
    used = {before for before, _ in pairs}
    # A new one whenever the loop had nothing to do for a moment, but never one each.
    assert len(used) < 30
    eventually(lambda: not used & still_open(), "closed when idle, as CONN_MAX_AGE is 0")


@pytest.mark.skipif(connection.vendor not in ALL_CONNECTIONS, reason="has no connection that could break")
def test_a_broken_connection_is_replaced(run_burst: Burst) -> None:
    broken = [end_async.delay("break the connection") for _ in range(5)]
    later = [note_async.apply_async((number,), priority=9) for number in range(50)]

    run_burst("--processes=1", "--concurrency=1")

    assert {status(result.id) for result in broken} == {"FAILURE"}
    assert [result.get(timeout=1) for result in later] == list(range(50))
