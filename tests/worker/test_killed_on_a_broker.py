"""Whoever is killed, and whenever: what was committed runs, what was rolled back never does, and nothing ends twice."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db.models import F

from django_tasks.brokers.outbox import SENDERS_TIME
from django_tasks.models import QueuedMessage, TaskResult, Worker
from tests.chance import chance
from tests.ledger.models import Article, Entry
from tests.ledger.tasks import note_again
from tests.services import Server
from tests.workers import PATIENCE, Start, all_final, eventually, program

pytestmark = [pytest.mark.worker, pytest.mark.timeout(900)]

#: Producers that are killed; more of them take longer and find more.
RACES = int(os.environ.get("TEST_RACES", "40"))


def test_of_producers_killed_around_their_commits_exactly_the_committed_tasks_run(
    shared_server: Server, use_broker: Callable[[str], None], start_worker: Start, tmp_path: Path
) -> None:
    use_broker(shared_server.url)
    start_worker("--processes=2")

    producers = program("-m", "tests.worker.deadly_producer", str(RACES), log=tmp_path / "producers.log")
    with producers as process:
        assert process.wait(PATIENCE + 5 * RACES) == 0

    eventually(all_final, "an ending for every task")
    eventually(lambda: not QueuedMessage.objects.exists(), "an empty outbox")
    committed = Counter(map(int, Article.objects.values_list("title", flat=True)))
    assert Counter(Entry.objects.values_list("number", flat=True)) == committed
    assert TaskResult.objects.filter(status="SUCCESS").count() == len(committed)
    assert not any(number % 4 == 3 for number in committed)
    # A relay takes them only when their senders have had their time.
    relayed = TaskResult.objects.filter(started_at__gt=F("created_at") + SENDERS_TIME / 2).count()
    print(
        f"{RACES} rounds: {len(committed)} committed, {relayed} of them by producers that died before publishing"
    )


def test_of_tasks_whose_processes_are_killed_none_is_lost_and_each_ends(
    shared_server: Server, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(shared_server.url)
    sent = note_again.bulk([(number,) for number in range(300)])
    worker = start_worker("--processes=2")
    eventually(lambda: Worker.objects.exists(), "the worker")

    chosen, kills = chance(), 0
    while kills < 8 and not all_final():
        done = Entry.objects.count()
        if family := worker.children()[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chosen.choice(family), signal.SIGKILL)
                kills += 1
        eventually(lambda done=done: Entry.objects.count() > done + 20 or all_final(), "it goes on")

    eventually(all_final, "an ending for every task")
    assert Counter(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS": 300}
    ran = Counter(Entry.objects.values_list("task_id", flat=True))
    assert ran.keys() == {result.id for result in sent}
    assert sum(ran.values()) - 300 <= kills  # each took one task down, which ran again
    assert not TaskResult.objects.owners()
    eventually(lambda: not QueuedMessage.objects.exists(), "nothing left over")
