"""What a caller is told of a task that a real worker runs (FEATURES §12, §13, OPT-08, OPT-12, OPT-13, CAN-15)."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test import override_settings

from django_tasks import AbortableAsyncResult, AsyncResult, clock
from django_tasks.exceptions import TimeLimitExceeded, WorkerLostError
from django_tasks.models import TaskResult
from tests.ledger import tasks
from tests.ledger.models import Entry
from tests.threads import Errand
from tests.workers import RunningWorker, Start, eventually

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]

RunBurst = Callable[..., RunningWorker]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_every_state_of_a_body_is_seen_though_its_transaction_is_open(
    start_worker: Start, tmp_path: Path, threads: str
) -> None:
    """FEATURES RES-06, STA-09, STA-10, EXM-06."""
    gate = tmp_path / "gate"
    told: list[tuple[str, Any]] = []

    def hear(body: dict[str, Any]) -> None:
        told.append((body["status"], body["result"]))
        if body["status"] == "PROGRESS":
            Path(f"{gate}{body['result']['percent']}").touch()

    handle = tasks.show_progress.delay(str(gate))
    waiting = Errand(lambda: handle.get(timeout=30, on_message=hear))
    start_worker("--processes", "1", "--threads", threads)

    assert waiting.result() == "shown"
    assert told == [
        *(("PROGRESS", {"percent": percent}) for percent in (10, 50, 90)),
        ("SUCCESS", "shown"),
    ]


def test_the_guides_hello_says_how_far_it_is(start_worker: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """FEATURES RES-06, EXM-06, D-HELLO."""

    def on_raw_message(body: dict[str, Any]) -> None:
        if body["status"] != "STARTED":
            print(body["status"], body["result"])

    start_worker("--processes", "1")
    result = tasks.hello.apply_async((4, 6)).get(timeout=30, on_message=on_raw_message, propagate=False)

    assert result == "hello world: 10"
    assert capsys.readouterr().out.splitlines() == [
        "PROGRESS {'progress': 50}",
        "PROGRESS {'progress': 90}",
        "SUCCESS hello world: 10",
    ]


def test_the_end_of_a_body_goes_before_any_state_it_showed(run_burst: RunBurst) -> None:
    handles = tasks.show_and_end.bulk([()] * 20)

    worker = run_burst("--processes", "1", "--threads", "4")

    assert [(handle.state, handle.get()) for handle in handles] == [("SUCCESS", "ended")] * 20
    assert "too late" not in worker.output


def test_a_running_task_shows_which_process_runs_it(start_worker: Start, tmp_path: Path) -> None:
    """FEATURES OPT-08, STA-02."""
    gate = tmp_path / "gate"
    handle = tasks.hold.delay(str(gate))
    start_worker("--processes", "1", "--name", "one")
    eventually(lambda: handle.state == "STARTED", "STARTED")

    assert handle.info == {"pid": Entry.objects.get().pid, "hostname": handle.worker}
    assert (handle.worker or "").startswith("one@")
    gate.touch()
    assert handle.get(timeout=30) == "through"


def test_without_track_started_a_task_stays_pending_until_its_end(
    start_worker: Start, tmp_path: Path
) -> None:
    """FEATURES OPT-08."""
    unseen, seen = tmp_path / "unseen", tmp_path / "seen"
    hidden, shown = tasks.hold_unseen.delay(str(unseen)), tasks.hold.delay(str(seen))
    start_worker("--processes", "1", "--threads", "2")
    eventually(lambda: Entry.objects.count() == 2 and shown.state == "STARTED", "both run")

    assert (hidden.state, hidden.info) == ("PENDING", None)
    for gate in (unseen, seen):
        gate.touch()
    assert hidden.get(timeout=30) == "through"


def test_a_body_stops_when_it_is_asked_to(start_worker: Start) -> None:
    """FEATURES STA-12."""
    handle = tasks.hold_until_aborted.delay()
    assert isinstance(handle, AbortableAsyncResult)
    start_worker("--processes", "1")
    eventually(lambda: handle.state == "PROGRESS", "it runs")

    assert handle.abort()

    assert (handle.get(timeout=30), handle.state, handle.is_aborted()) == ("stopped", "SUCCESS", True)


def test_a_task_that_was_asked_to_stop_before_it_began_finds_out(run_burst: RunBurst) -> None:
    """FEATURES STA-12."""
    handle = tasks.hold_until_aborted.delay()
    assert isinstance(handle, AbortableAsyncResult)
    handle.abort()

    run_burst("--processes", "1")

    assert handle.get() == "stopped"


def test_of_tasks_without_result_the_failures_are_kept_if_they_say_so(run_burst: RunBurst) -> None:
    """FEATURES OPT-13."""
    failed = tasks.fail_untracked.delay("bang")
    tasks.return_untracked.delay()
    tasks.note_untracked.delay(5)

    run_burst("--processes", "1")

    row = TaskResult.objects.get()
    handle = AsyncResult[Any](failed.id)
    assert (row.id, row.task, row.is_final, handle.state) == (
        failed.id,
        tasks.fail_untracked.name,
        True,
        "FAILURE",
    )
    assert "raise ValueError(text)" in (handle.traceback or "")
    with pytest.raises(ValueError, match="bang"):
        handle.get()
    assert (handle.args, failed.get()) == (("bang",), None)


def test_in_a_task_only_what_is_ready_may_be_got(run_burst: RunBurst) -> None:
    """FEATURES CAN-15, D-GETINTASK, EXE-09."""
    ready = tasks.note.delay(5)
    run_burst("--processes", "1")
    other = tasks.note.apply_async((6,), countdown=3600)
    asking = tasks.get_another.delay(ready.id, other.id)

    run_burst("--processes", "1")

    value, refusal, *permitted = asking.get()
    assert (value, permitted) == (5, ["waited", "waited"])
    assert refusal.startswith("Never call result.get() within a task!")


def test_what_a_task_sends_is_its_child(run_burst: RunBurst) -> None:
    """FEATURES RES-10."""
    parent = tasks.send_another.delay(7)

    run_burst("--processes", "1")

    (child,) = parent.children
    assert (child.id, child.parent, child.get()) == (parent.get(), parent, 7)


def test_results_of_a_worker_are_found_in_the_cache(run_burst: RunBurst, tmp_path: Path) -> None:
    """FEATURES BAK-03."""
    place = str(tmp_path / "cache")
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    handle, failed = tasks.note.delay(5), tasks.fail.delay("bang")

    run_burst("--processes", "1", TEST_RESULT_STORE="cache", TEST_CACHE=place)

    with (
        override_settings(
            DJANGO_TASKS={"RESULT_STORE": "cache"},
            CACHES={"default": {"BACKEND": backend, "LOCATION": place}},
        ),
        connection.execute_wrapper(_refuse),
    ):
        assert (handle.get(), handle.state) == (5, "SUCCESS")
        assert str(failed.get(propagate=False)) == "bang"
        assert len(list(Path(place).iterdir())) == 2
        caches["default"].clear()
    assert (AsyncResult[Any](handle.id).get(), TaskResult.objects.count()) == (5, 2)


def _refuse(*_: object) -> object:
    raise AssertionError("the database was asked")


def test_a_worker_deletes_what_has_expired(start_worker: Start, run_burst: RunBurst) -> None:
    """FEATURES BAK-10."""
    old, fresh, waiting = (
        tasks.note.delay(1),
        tasks.note.delay(2),
        tasks.note.apply_async((3,), countdown=3600),
    )
    run_burst("--processes", "1")
    long_ago = clock.to_storage(clock.now() - dt.timedelta(days=2))
    TaskResult.objects.filter(id=old.id).update(finished_at=long_ago)
    TaskResult.objects.update(created_at=long_ago)

    start_worker("--processes", "1")

    eventually(lambda: not TaskResult.objects.filter(id=old.id).exists(), "it is deleted")
    assert {row.id for row in TaskResult.objects.all()} == {fresh.id, waiting.id}


def test_opt_06_a_worker_puts_endings_where_their_tasks_say(
    start_worker: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By settlement, and by the rescue of what a killed process ran."""
    monkeypatch.setenv("TEST_STORE", str(tmp_path))
    gate = tmp_path / "gate"
    fine, failed = tasks.archive.delay([5]), tasks.archive.delay("bang")
    killed, overdue = (
        tasks.hold_archived.delay(str(gate)),
        tasks.hold_archived.apply_async((str(gate),), time_limit=1),
    )
    start_worker("--processes=2", TEST_STORE=str(tmp_path))

    assert fine.get(timeout=30) == [5]
    with pytest.raises(ValueError, match="bang"):
        AsyncResult[Any](failed.id).get(timeout=30)
    with pytest.raises(TimeLimitExceeded):
        overdue.get(timeout=30)
    entry = eventually(lambda: Entry.objects.filter(task_id=killed.id).first(), "it runs")
    assert isinstance(entry, Entry)
    os.kill(entry.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError):
        AsyncResult[Any](killed.id).get(timeout=30)

    TaskResult.objects.all().delete()
    states = [
        type(handle)(handle.id, backend=handle.backend).state for handle in (fine, failed, killed, overdue)
    ]
    assert states == ["SUCCESS", "FAILURE", "FAILURE", "FAILURE"]
