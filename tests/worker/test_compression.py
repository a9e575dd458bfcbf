"""Compressed messages on their way through a real worker, and beside Celery's own."""

from __future__ import annotations

import base64
import bz2
import json
import os
import signal
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.results.async_result import AsyncResult
from tests.ledger.models import Entry
from tests.ledger.tasks import echo, hold, hold_again, note, retry_later
from tests.workers import RunningWorker, Start, eventually

pytestmark = pytest.mark.worker

WORDS = "the same again, " * 500


def stored() -> dict[str, Any]:
    """The one message in the queues."""
    payload: dict[str, Any] = json.loads(QueuedMessage.objects.get().payload)
    return payload


def unpacked(message: dict[str, Any], undo: Callable[[bytes], bytes]) -> Any:
    assert message["properties"]["body_encoding"] == "base64"
    return json.loads(undo(base64.b64decode(message["body"])))


def begins(sent: AsyncResult[object], run: int = 1) -> Entry:
    eventually(lambda: Entry.objects.filter(task_id=sent.id).count() == run, f"run {run} begins")
    return Entry.objects.filter(task_id=sent.id).latest("at")


@pytest.mark.parametrize(
    ("name", "kind", "undo"),
    [
        ("gzip", "application/x-gzip", zlib.decompress),
        ("bzip2", "application/x-bz2", bz2.decompress),
        ("ascii85", "application/x-ascii85", base64.b85decode),
    ],
)
def test_exe_13_ser_02_what_waits_is_compressed_and_what_arrives_is_not(
    run_burst: Callable[..., RunningWorker], name: str, kind: str, undo: Callable[[bytes], bytes]
) -> None:
    """OPT-05; the last one is a compression of our own."""
    sent = echo.apply_async((WORDS,), compression=name)

    message = stored()
    assert message["headers"]["compression"] == kind
    assert unpacked(message, undo)[0] == [WORDS]
    run_burst("--processes=1")

    assert sent.get(timeout=1) == WORDS


def test_opt_05_the_next_run_is_compressed_like_the_first(run_burst: Callable[..., RunningWorker]) -> None:
    retry_later.apply_async(compression="gzip")

    run_burst("--processes=1")

    message = stored()
    assert message["headers"]["retries"] == 1
    assert unpacked(message, zlib.decompress)[0] == []


def test_opt_05_what_is_handed_back_is_compressed_again_and_can_be_run(
    start_worker: Start, run_burst: Callable[..., RunningWorker], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    running = hold.delay(str(gate))
    behind = note.apply_async((7,), compression="gzip")
    worker = start_worker("--processes=1")
    begins(running)

    worker.terminate()
    eventually(lambda: QueuedMessage.objects.ready().count() == 1, "it is back")
    message = stored()
    gate.touch()
    worker.wait()
    run_burst("--processes=1")

    assert unpacked(message, zlib.decompress)[0] == [7]
    assert behind.get(timeout=1) == 7


def test_opt_05_what_is_rescued_is_compressed_again_and_can_be_run(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold_again.apply_async((str(gate),), compression="gzip")
    start_worker("--processes=1")
    os.kill(begins(sent).pid, signal.SIGKILL)

    begins(sent, run=2)
    gate.touch()

    assert sent.get(timeout=30) == "through"
    row = TaskResult.objects.get(id=sent.id)
    assert row.crashes == 1
    assert json.loads(row.message)["headers"]["compression"] == "application/x-gzip"


def test_opt_05_our_compressed_message_is_what_celery_writes_and_its_is_read(
    run_burst: Callable[..., RunningWorker],
) -> None:
    celery = pytest.importorskip("celery", reason="Celery is not installed: nothing to compare with")
    app = celery.Celery("peer", broker="django://", set_as_current=False)
    app.conf.task_default_queue = app.conf.task_default_routing_key = "default"

    ours = note.apply_async((5,), compression="gzip", task_id="ours")
    written = stored()
    QueuedMessage.objects.all().delete()
    app.send_task(note.name, (5,), compression="gzip", task_id="theirs")
    theirs = stored()

    assert written["body"] == theirs["body"]
    for part in ("content-type", "content-encoding"):
        assert written[part] == theirs[part]
    assert written["headers"]["compression"] == theirs["headers"]["compression"]
    assert written["properties"]["body_encoding"] == theirs["properties"]["body_encoding"]
    assert set(theirs["headers"]) == set(written["headers"])

    run_burst("--processes=1")
    assert AsyncResult("theirs").get(timeout=1) == 5
    assert ours.state == "PENDING"
