from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from django_tasks import clock
from django_tasks.message.task_id import new_task_id
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult, Worker

if TYPE_CHECKING:
    from pytest_django import Settings

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


class Make(Protocol):
    def __call__(self, **values: Any) -> Any: ...


@pytest.fixture
def page(settings: Settings, db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A superuser's browser. Of the queries of a page, one is not the page's own: the user."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def make_task(db: None) -> Make:
    def make(**values: Any) -> TaskResult:
        given = {
            "id": new_task_id(),
            "task": "shop.tasks.pay",
            "queue": "default",
            "message": "{}",
            "created_at": NOW,
        }
        return TaskResult.objects.create(**{**given, **values})

    return make


@pytest.fixture
def make_group(db: None) -> Make:
    def make(**values: Any) -> TaskGroup:
        given = {"id": new_task_id(), "total": 20, "pending": 3, "created_at": NOW}
        return TaskGroup.objects.create(**{**given, **values})

    return make


@pytest.fixture
def make_message(db: None) -> Make:
    def make(**values: Any) -> QueuedMessage:
        return QueuedMessage.objects.create(**{"queue": "default", "sent_at": NOW, "payload": "{}", **values})

    return make


@pytest.fixture
def make_worker(db: None) -> Make:
    def make(**values: Any) -> Worker:
        given = {
            "id": "a" * 32,
            "name": "worker@web-1",
            "hostname": "web-1",
            "pid": 4121,
            "queues": "default, mail",
            "processes": 4,
            "threads": 2,
            "version": "0.1",
            "started_at": NOW,
            "lease_until": clock.now() + dt.timedelta(hours=1),
        }
        return Worker.objects.create(**{**given, **values})

    return make
