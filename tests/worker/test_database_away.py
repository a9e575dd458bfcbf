"""The database being away is a pause, not a loss (DESIGN §2, promise 7); no user code in the supervisor (8)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from django.db import connection, transaction

from django_tasks.models import QueuedMessage, TaskResult, Worker
from tests.ledger.models import Entry
from tests.ledger.tasks import hold_untracked, note, nothing
from tests.workers import Start, all_final, eventually

pytestmark = pytest.mark.worker


def cut_everybody_off() -> None:
    """End every other connection to the database; on SQLite, which has none, keep all writers out for a moment."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        elif connection.vendor == "mysql":
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            )
            for (id,) in cursor.fetchall():
                try:
                    cursor.execute(f"KILL {id:d}")
                except Exception as gone:  # noqa: BLE001 - it ended by itself meanwhile
                    print(gone)
        else:
            with transaction.atomic():
                TaskResult.objects.filter(id="nobody").update(task="")
                eventually(lambda: cursor.execute("SELECT 1") is not None)


def test_with_its_connections_cut_again_and_again_every_task_still_runs_once(start_worker: Start) -> None:
    sent = nothing.bulk([()] * 2000)
    start_worker("--processes=2", "--threads=2")
    eventually(lambda: Worker.objects.exists(), "the worker")

    for _ in range(5):
        before = TaskResult.objects.final().count()
        cut_everybody_off()
        eventually(
            lambda before=before: TaskResult.objects.final().count() > before or all_final(), "it goes on"
        )
    eventually(all_final, "an ending for every task")

    assert Counter(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS": len(sent)}
    assert not TaskResult.objects.owners()


def test_an_untracked_task_that_ran_through_a_cut_is_still_acknowledged(
    start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    sent = hold_untracked.delay(str(gate))
    start_worker("--processes=1")
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")

    cut_everybody_off()
    gate.touch()

    eventually(lambda: not QueuedMessage.objects.exists(), "the message is settled")
    assert Entry.objects.filter(task_id=sent.id).count() == 1


def test_tasks_run_in_task_processes_only(start_worker: Start) -> None:
    sent = note.bulk([(number,) for number in range(50)])
    worker = start_worker("--processes=2")
    for result in sent:
        result.get(timeout=30)

    ran_in = set(Entry.objects.values_list("pid", flat=True))

    assert ran_in <= set(worker.children()[1:])
