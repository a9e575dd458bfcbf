"""Tasks that a real worker gets through exchanges."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from django_tasks import AsyncResult, Task
from django_tasks.brokers import queues
from django_tasks.brokers.handler import broker
from tests.features import guide_tasks as guide
from tests.ledger.models import Entry
from tests.ledger.tasks import note, succeed_at, succeed_at_untracked
from tests.worker.exchange_settings import DJANGO_TASKS
from tests.workers import RunningWorker, Start

pytestmark = pytest.mark.worker


@pytest.fixture
def run_burst(start_worker: Start, settings: Any) -> Any:
    settings.DJANGO_TASKS = DJANGO_TASKS

    def run(*arguments: str) -> RunningWorker:
        worker = start_worker(
            "--burst", "--processes=1", *arguments, DJANGO_SETTINGS_MODULE="tests.worker.exchange_settings"
        )
        assert worker.wait() == 0, worker.output
        return worker

    return run


WAYS = [
    ({"exchange": "shop", "routing_key": "order"}, ["mail", "audit"]),
    ({"exchange": "media", "routing_key": "images.small"}, ["images", "small"]),
    ({"exchange": "media", "routing_key": "films.small"}, ["small"]),
    ({"exchange": "everywhere"}, ["here", "there"]),
]


def test_adv_01_opt_25_26_a_task_runs_once_though_several_queues_get_it(run_burst: Any) -> None:
    """FEATURES EXE-14."""
    sent = [note.apply_async((number,), **way) for number, (way, _) in enumerate(WAYS)]
    waiting = +Counter({name: broker().size(name) for name in queues.declared()})

    run_burst()

    assert waiting == Counter(queue for _, reached in WAYS for queue in reached)
    assert [task.get(timeout=1) for task in sent] == [0, 1, 2, 3]
    assert sorted(Entry.objects.values_list("number", flat=True)) == [0, 1, 2, 3]
    assert broker().is_empty(queues.declared())


def test_adv_01_without_a_row_each_queue_s_message_is_run(run_burst: Any) -> None:
    for number, (way, _) in enumerate(WAYS):
        note.apply_async((number,), ignore_result=True, **way)

    run_burst()

    ran = Counter(Entry.objects.values_list("number", flat=True))
    assert ran == {number: len(reached) for number, (_, reached) in enumerate(WAYS)}


def test_opt_25_26_a_task_knows_the_way_it_came(run_burst: Any) -> None:
    """FEATURES REQ-13."""
    through = guide.show_request.apply_async(exchange="media", routing_key="films.small")
    straight = guide.show_request.apply_async(queue="small")

    run_burst("--queues=small")

    assert _way(through) == ("media", "films.small")
    assert _way(straight) == ("", "small")


@pytest.mark.parametrize(("task", "runs"), [(succeed_at, 1), (succeed_at_untracked, 2)])
def test_opt_25_a_retry_goes_to_the_queue_that_the_run_came_by_alone(
    run_burst: Any, task: Task, runs: int
) -> None:
    task.apply_async((1,), exchange="everywhere", routing_key="anything")

    run_burst()

    assert Counter(Entry.objects.values_list("number", flat=True)) == {0: runs, 1: runs}


def _way(sent: AsyncResult[Any]) -> tuple[str, str]:
    info = sent.get(timeout=1)["delivery_info"]
    return info["exchange"], info["routing_key"]
