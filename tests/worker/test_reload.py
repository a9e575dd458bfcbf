"""`--reload` starts the worker again when code changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from django_tasks.models import Worker
from tests.ledger import tasks
from tests.ledger.tasks import note
from tests.workers import Start, eventually, status

pytestmark = pytest.mark.worker


def test_after_a_change_of_a_tasks_module_a_new_worker_runs(start_worker: Start) -> None:
    start_worker("--reload", "--processes=1")
    first = eventually(lambda: Worker.objects.values_list("id", flat=True).first(), "the first worker")
    before = note.delay(1)
    eventually(lambda: status(before.id) == "SUCCESS", "the first worker works")

    changed = Path(tasks.__file__)
    os.utime(changed, (changed.stat().st_mtime + 5,) * 2)
    eventually(lambda: Worker.objects.exclude(id=first).exists(), "another worker")

    after = note.delay(2)
    eventually(lambda: status(after.id) == "SUCCESS", "the second worker works")
    assert not Worker.objects.filter(id=first).exists()
