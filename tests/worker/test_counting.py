"""What groups count, whatever is killed (FEATURES CAN-11)."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

from django_tasks import chord
from django_tasks.models import TaskGroup, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import collect, note_again
from tests.workers import Start, all_final, eventually

pytestmark = pytest.mark.worker
CHORDS, HEADER = 50, 20


def ended() -> int:
    return TaskResult.objects.final().count()


def test_with_every_task_process_killed_again_and_again_each_body_is_sent_once(start_worker: Start) -> None:
    sent = [chord(note_again.s(number) for number in range(HEADER))(collect.s()) for _ in range(CHORDS)]
    worker = start_worker("--processes=2")

    for done in range(100, CHORDS * HEADER, 100):
        eventually(lambda done=done: ended() >= done, f"{done} endings")
        for pid in worker.children()[1:]:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: all_final() and ended() == CHORDS * (HEADER + 1), "an ending for every task")

    bodies = [body.id for body in sent]
    runs = Counter(Entry.objects.filter(task_id__in=bodies).values_list("task_id", flat=True))
    assert max(runs.values()) == 1
    assert not TaskGroup.objects.unfinished().exists()
    # A body that ran while its process died is lost, and so is one of whose header a task took down too many.
    for body in sent:
        found = body.get(timeout=0, propagate=False)
        if body.successful():
            assert runs[body.id] == 1
            assert found == list(range(HEADER))
        else:
            assert type(found).__name__ in ("WorkerLostError", "ChordError")
    assert sum(body.successful() for body in sent) > CHORDS / 2
