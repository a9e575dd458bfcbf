"""Arguments named like ours: whatever the task takes, it is sent and gets it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_tasks import delay_on_commit, task
from django_tasks.message.message import TaskMessage
from tests.ledger.tasks import take_anything, take_anything_async

STRANGE = {"self": 1, "cls": 2, "args": 3, "kwargs": 4, "task": 5, "function": 6, "task_id": 7}


def test_every_way_to_send_takes_an_argument_named_self(sent: list[TaskMessage], sent_on_commit: Any) -> None:
    take_anything.delay(**STRANGE)
    take_anything.apply_async(kwargs=STRANGE)
    asyncio.run(take_anything.adelay(**STRANGE))
    take_anything.delay_on_commit(**STRANGE)
    delay_on_commit(take_anything, **STRANGE)

    on_commit = [message for messages, _ in sent_on_commit for message in messages]
    assert [message.kwargs for message in (*sent, *on_commit)] == [STRANGE] * 5


def test_a_task_called_like_a_function_takes_it_too() -> None:
    assert take_anything(**STRANGE) == STRANGE
    assert asyncio.run(take_anything_async(**STRANGE)) == STRANGE


@pytest.mark.django_db
def test_a_run_gets_it() -> None:
    assert take_anything.apply(kwargs=STRANGE).get() == STRANGE
    assert take_anything_async.apply(kwargs=STRANGE).get() == STRANGE


def test_a_function_with_an_argument_named_self_is_a_task_as_any(sent: list[TaskMessage]) -> None:
    @task(name="tests.compare")
    def compare(self: int, other: int) -> bool:
        return self == other

    compare.delay(self=1, other=2)

    assert sent[0].kwargs == {"self": 1, "other": 2}
    assert compare(self=1, other=1)


def test_a_bound_task_still_cannot_be_given_its_self(sent: list[TaskMessage]) -> None:
    @task(bind=True, name="tests.bound")
    def bound(self: Any, other: int) -> None: ...

    with pytest.raises(TypeError, match="'self'"):
        bound.delay(self=1, other=2)
    assert sent == []
