"""What a worker does with what it cannot or may not run, and what it says when it cannot start."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import kombu
import pytest
from django.utils import timezone

from django_tasks import app
from django_tasks.exceptions import TaskRevokedError
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import fail, note, nothing
from tests.workers import ROOT, RunningWorker, status

pytestmark = pytest.mark.worker
RunBurst = Callable[..., RunningWorker]


def put(body: str, queue: str = "default", **properties: object) -> None:
    """A message from some other program."""
    with kombu.Connection("django://") as connection:
        kombu.Producer(connection.channel()).publish(body, routing_key=queue, **properties)


@pytest.mark.parametrize("body", ["42", "[]", "{}", "not json", '[[1], {}, {"chain": 1}]', ""])
def test_garbage_is_set_aside_and_the_others_run(run_burst: RunBurst, body: str) -> None:
    put(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        headers={"id": "x", "task": "no.such"},
    )
    put(body, content_type="application/json", content_encoding="utf-8")
    sent = note.delay(1)

    run_burst("--processes=1")

    assert status(sent.id) == "SUCCESS"
    assert QueuedMessage.objects.aside().count() == 2
    assert all(message.reason for message in QueuedMessage.objects.aside())


def test_pickle_is_set_aside_unopened(run_burst: RunBurst, tmp_path: Path) -> None:
    """FEATURES SER-03."""
    trace = tmp_path / "trace"
    bomb = b"cposix\nsystem\n(S'touch " + str(trace).encode() + b"'\ntR."
    put(
        bomb,  # type: ignore[arg-type]
        content_type="application/x-python-serialize",
        content_encoding="binary",
        headers={"id": "bomb", "task": note.name},
    )

    run_burst("--processes=1")

    assert not trace.exists()
    assert QueuedMessage.objects.aside().get().reason


def test_an_unknown_task_is_set_aside_with_its_name_and_its_row_still_waits(run_burst: RunBurst) -> None:
    """FEATURES DEF-10."""
    sent = app.send_task("nobody.knows.this", (1,))

    run_burst("--processes=1")

    assert "nobody.knows.this" in QueuedMessage.objects.aside().get().reason
    assert status(sent.id) == "PENDING"


def test_a_task_of_another_program_gets_its_row_when_it_is_claimed(run_burst: RunBurst) -> None:
    put(
        '[[5], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
        content_type="application/json",
        content_encoding="utf-8",
        headers={"id": "from-elsewhere", "task": note.name},
    )

    run_burst("--processes=1")

    row = TaskResult.objects.get(id="from-elsewhere")
    assert (row.status, row.task, row.result) == ("SUCCESS", note.name, "5")


def test_a_revoked_task_never_runs(run_burst: RunBurst) -> None:
    sent = note.delay(1)
    assert sent.revoke()

    run_burst("--processes=1")

    assert not Entry.objects.exists()
    with pytest.raises(TaskRevokedError):
        sent.get()


def test_an_expired_task_ends_as_revoked(run_burst: RunBurst) -> None:
    """FEATURES EXE-06, STA-06."""
    sent = note.apply_async((1,), expires=timezone.now() - dt.timedelta(seconds=1))

    run_burst("--processes=1")

    assert not Entry.objects.exists()
    with pytest.raises(TaskRevokedError, match="expired"):
        sent.get()


def test_a_failure_is_raised_again_for_the_caller_with_its_traceback(run_burst: RunBurst) -> None:
    """FEATURES RES-09, STA-04."""
    sent = fail.delay("bang")

    run_burst("--processes=1")

    with pytest.raises(ValueError, match="bang"):
        sent.get()
    assert sent.traceback is not None
    assert "raise ValueError(text)" in sent.traceback
    assert "django_tasks/execution" not in sent.traceback


def test_a_countdown_is_never_early_and_a_burst_does_not_wait_for_it(run_burst: RunBurst) -> None:
    """FEATURES EXE-01."""
    later = note.apply_async((1,), countdown=3600)
    nothing.delay()

    run_burst("--processes=1")

    assert status(later.id) == "PENDING"
    assert QueuedMessage.objects.get().state == QueuedMessage.State.PARKED


def test_only_the_queues_asked_for_are_served(run_burst: RunBurst) -> None:
    here = note.apply_async((1,), queue="other")
    elsewhere = note.apply_async((2,), queue="third")

    worker = run_burst("--processes=1", "--queues=other")

    assert status(here.id) == "SUCCESS"
    assert status(elsewhere.id) == "PENDING"
    assert "nobody here serves default, third" in worker.output


def runworker(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "runworker", "--burst", *arguments],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_database_that_is_not_migrated_is_said_with_the_command_to_run(tmp_path: Path) -> None:
    ended = runworker(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert ended.returncode == 1
    assert "has no table" in ended.stderr
    assert "manage.py migrate" in ended.stderr


def test_an_undeclared_queue_is_said_with_a_guess() -> None:
    ended = runworker("--queues=othr")

    assert ended.returncode == 1
    assert "Did you mean 'other'?" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [("--processes=-1",), ("--threads=0",), ("--grace=soon",), ("--loglevel=loud",)]
)
def test_impossible_numbers_are_refused(arguments: tuple[str, ...]) -> None:
    assert runworker(*arguments).returncode == 2
