"""A site with things to tell of."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from django_tasks import clock, states
from django_tasks.message.task_id import new_task_id
from django_tasks.models import QueuedMessage, TaskResult, Worker

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture(autouse=True)
def _one_queue(settings: Settings) -> None:
    settings.DJANGO_TASKS = {}


class Make(Protocol):
    def __call__(self, **values: Any) -> Any: ...


def ago(seconds: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(seconds=seconds))


@pytest.fixture
def make_task(db: None) -> Make:
    def make(**values: Any) -> TaskResult:
        given = {"id": new_task_id(), "task": "shop.tasks.pay", "queue": "default", "message": "{}"}
        return TaskResult.objects.create(**{**given, "created_at": ago(10), **values})

    return make


@pytest.fixture
def make_end(make_task: Make) -> Make:
    """A task that ended so many seconds ago: it had waited for one second and run for two."""

    def make(seconds: float = 60, **values: Any) -> TaskResult:
        times = {
            "created_at": ago(seconds + 3),
            "started_at": ago(seconds + 2),
            "finished_at": ago(seconds),
        }
        row: TaskResult = make_task(**{"status": states.SUCCESS, **times, **values})
        return row

    return make


@pytest.fixture
def make_message(db: None) -> Make:
    def make(**values: Any) -> QueuedMessage:
        return QueuedMessage.objects.create(
            **{"queue": "default", "sent_at": ago(0), "payload": "{}", **values}
        )

    return make


@pytest.fixture
def make_worker(db: None) -> Make:
    def make(**values: Any) -> Worker:
        given = {
            "id": new_task_id().replace("-", "")[:32],
            "name": "worker@web-1",
            "hostname": "web-1",
            "pid": 4121,
            "queues": "default",
            "processes": 4,
            "threads": 2,
            "version": "0.1",
            "started_at": ago(1000),
            "renewed_at": ago(1),
            "lease_until": ago(-3600),
        }
        return Worker.objects.create(**{**given, **values})

    return make
