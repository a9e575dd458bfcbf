"""Chords whose task processes are killed all the time: each body runs once, with all results in their order."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter

import pytest

from django_tasks import chord
from django_tasks.models import TaskGroup, TaskResult
from tests.chance import chance
from tests.ledger.models import Entry
from tests.ledger.tasks import collect_atomically, constant_again
from tests.workers import Start, all_final, eventually

pytestmark = pytest.mark.worker

#: How many chords; each has a header of 20 tasks. A process is killed each time 50 more tasks have ended.
CHORDS = int(os.environ.get("TEST_CHORDS", "30"))
SIZE = 20


@pytest.mark.timeout(120 + 3 * CHORDS)
def test_whatever_is_killed_every_body_runs_once_with_the_right_list(start_worker: Start) -> None:
    sent = [
        chord(
            [constant_again.s(100 * number + place) for place in range(SIZE)], collect_atomically.s()
        ).delay()
        for number in range(CHORDS)
    ]
    worker = start_worker("--processes=2")

    def ended() -> int:
        return TaskResult.objects.final().count()

    chosen, kills = chance(), 0
    for aim in range(50, CHORDS * SIZE, 50):
        eventually(lambda aim=aim: ended() >= aim, f"{aim} have ended")
        _, *processes = worker.family()
        with contextlib.suppress(ProcessLookupError):
            os.kill(chosen.choice(processes), signal.SIGKILL)
            kills += 1
    eventually(lambda: all_final() and not TaskGroup.objects.unfinished().exists(), "an end for all")

    assert kills >= CHORDS * SIZE // 50 - 1
    expected = [[100 * number + place for place in range(SIZE)] for number in range(CHORDS)]
    assert [result.get(timeout=0) for result in sent] == expected
    runs = Counter(Entry.objects.values_list("task_id", flat=True))
    assert runs == {result.id: 1 for result in sent}
    assert {group.completed for group in TaskGroup.objects.all()} == {SIZE}
