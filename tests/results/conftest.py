"""Tasks that end as a test says, as a worker elsewhere would end them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from django_tasks import clock
from django_tasks.message.errors import write_error
from django_tasks.message.serialization import dumps
from django_tasks.models import TaskResult
from django_tasks.models.result import Change
from django_tasks.models.watch import ENDINGS, announce

Send = Callable[..., str]


@pytest.fixture
def send() -> Send:
    """Makes the row of a task that waits, and answers its id."""
    numbers = itertools.count()

    def send(**fields: Any) -> str:
        id = f"task-{next(numbers)}"
        made = {
            "task": "tests.task",
            "queue": "default",
            "message": "{}",
            "created_at": clock.to_storage(clock.now()),
        }
        TaskResult.objects.create(id=id, **made | fields)
        return id

    return send


def end(
    id: str, value: object = None, *, status: str = "SUCCESS", error: BaseException | None = None
) -> None:
    """End a task, as its worker does."""
    failed = error is not None
    change = Change(
        id=id,
        status="FAILURE" if failed and status == "SUCCESS" else status,
        result=write_error(error) if error is not None else str(dumps(value).body),
        traceback="Traceback: line 1" if failed else None,
        finished_at=clock.now(),
    )
    with transaction.atomic():
        TaskResult.objects.claim([id], "worker")
        assert TaskResult.objects.record([change], "worker") == {id}
        announce(connections["default"], ENDINGS)


@pytest.fixture(name="end")
def _end() -> Callable[..., None]:
    return end
