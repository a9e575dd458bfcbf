"""Tasks that end as a test says, as a worker elsewhere would end them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from django_tasks import AsyncResult, GroupResult, clock
from django_tasks.message.errors import write_error
from django_tasks.message.serialization import dumps
from django_tasks.models import TaskGroup, TaskResult
from django_tasks.models.result import Change
from django_tasks.models.watch import ENDINGS, announce

Send = Callable[..., str]
SendGroup = Callable[..., GroupResult]


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
        made["id"] = id
        TaskResult.objects.create(**made | fields)
        return id

    return send


@pytest.fixture
def send_group() -> SendGroup:
    """Makes the rows of a group whose tasks wait, and answers the handle that its sender has."""
    numbers = itertools.count()

    def send_group(size: int, **fields: Any) -> GroupResult:
        id, now = f"group-{next(numbers)}", clock.to_storage(clock.now())
        TaskGroup.objects.insert(
            [TaskGroup(**{"id": id, "total": size, "pending": size, "created_at": now} | fields)]
        )
        rows = [
            TaskResult(
                id=f"{id}-{index}",
                task="tests.task",
                queue="default",
                message="{}",
                group_id=id,
                group_index=index,
                created_at=now,
            )
            for index in range(size)
        ]
        TaskResult.objects.insert(rows)
        return GroupResult(id, [AsyncResult(row.id) for row in rows])

    return send_group


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
        group = TaskResult.objects.get(id=id).group_id
        if group is not None:
            TaskGroup.objects.tally({group: (1, int(change.status != "SUCCESS"))})
        announce(connections["default"], ENDINGS)


@pytest.fixture(name="end")
def _end() -> Callable[..., None]:
    return end
