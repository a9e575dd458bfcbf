"""What a handle tells besides the state: whose task it is, and who sent what (FEATURES RES-06, RES-10)."""

from __future__ import annotations

import asyncio
import builtins
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks import AbortableAsyncResult, AsyncResult, task
from django_tasks.definition.request import Context, running
from django_tasks.exceptions import TimeoutError
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult
from django_tasks.results.handler import results
from tests.threads import Errand

Send = Callable[..., str]
End = Callable[..., None]


@task
def child(number: int, *, secret: str = "") -> None: ...


@task(ignore_result=True)
def untracked() -> None: ...


# -- facts


@pytest.mark.django_db
def test_a_handle_tells_what_was_sent() -> None:
    handle = child.apply_async((1,), {"secret": "s"}, queue="other")

    again = AsyncResult[Any](handle.id)
    assert (again.name, again.args, again.kwargs, again.queue) == (child.name, (1,), {"secret": "s"}, "other")
    assert (again.retries, again.worker, again.date_done, again.parent) == (0, None, None, None)


@pytest.mark.django_db
@pytest.mark.parametrize("id", ["nobody's", "NUL \x00"])
def test_of_an_unknown_task_nothing_is_told(id: str) -> None:
    handle = AsyncResult[Any](id)

    assert (handle.name, handle.args, handle.kwargs, handle.queue, handle.worker) == (None,) * 5
    assert (handle.retries, handle.parent, handle.children, handle.date_done) == (0, None, [], None)
    assert not handle.revoke()
    assert not AbortableAsyncResult[Any](id).abort()
    assert not AbortableAsyncResult[Any](id).is_aborted()
    child.update_state(task_id=id, state="PROGRESS")
    handle.forget()


@pytest.mark.django_db
def test_arguments_that_may_not_be_read_are_not_told(send: Send) -> None:
    handle = AsyncResult[Any](send(message='{"nonsense": true}'))

    assert (handle.args, handle.kwargs, handle.name) == (None, None, "tests.task")


def test_an_eager_handle_knows_all_without_asking() -> None:
    handle = child.apply((1,), {"secret": "s"})

    assert (handle.name, handle.args, handle.kwargs["secret"]) == (child.name, (1,), "s")
    assert (handle.children, handle.parent, handle.retries) == ([], None, 0)


# -- families


@pytest.mark.django_db
def test_what_a_task_sends_is_its_children_in_order() -> None:
    parent = child.delay(0)
    with running(child, Context.of(TaskMessage(id=parent.id, task=child.name))):
        sent = [child.delay(number) for number in range(3)]
    child.delay(9)

    assert parent.children == sent
    assert [handle.parent for handle in sent] == [parent] * 3
    assert sent[0].children == []


@pytest.mark.django_db
def test_grandchildren_know_the_first_of_the_family() -> None:
    first = child.delay(0)
    with running(child, Context.of(TaskMessage(id=first.id, task=child.name))):
        second = child.delay(1)
    with running(child, Context.of(TaskMessage(id=second.id, task=child.name, root_id=first.id))):
        third = child.delay(2)

    assert [TaskResult.objects.get(id=handle.id).root_id for handle in (first, second, third)] == [
        first.id
    ] * 3
    assert first.children == [second]


# -- ignored results


@pytest.mark.django_db
def test_who_sent_a_task_without_result_gets_none_at_once() -> None:
    """FEATURES RES-14, OPT-12."""
    for handle in (untracked.delay(), child.apply_async((1,), ignore_result=True), *untracked.bulk([()])):
        assert (handle.get(), handle.state, handle.ready()) == (None, "PENDING", False)


# -- every change


@pytest.mark.django_db(transaction=True)
def test_each_state_is_told_while_it_is_waited_for(send: Send, end: End) -> None:
    """FEATURES RES-06."""
    id = send()
    told: list[dict[str, Any]] = []
    heard = threading.Semaphore(0)

    def hear(body: dict[str, Any]) -> None:
        told.append(body)
        heard.release()

    waiting = Errand(lambda: AsyncResult[Any](id).get(timeout=30, on_message=hear))
    for done in (50, 90):
        assert results().report(id, "PROGRESS", f'{{"done": {done}}}')
        assert heard.acquire(timeout=30)
    end(id, "fine")

    assert waiting.result() == "fine"
    assert [(body["status"], body["result"]) for body in told] == [
        ("PROGRESS", {"done": 50}),
        ("PROGRESS", {"done": 90}),
        ("SUCCESS", "fine"),
    ]
    assert told[-1]["task_id"] == id
    assert told[-1]["date_done"] is not None
    assert {"task_id", "status", "result", "traceback", "children", "parent_id", "date_done"} == told[
        -1
    ].keys()


@pytest.mark.django_db
def test_an_end_that_came_before_is_told_all_the_same(send: Send, end: End) -> None:
    handle = AsyncResult[Any](send())
    end(handle.id, error=ValueError("no"))
    told: list[dict[str, Any]] = []

    for _ in range(2):
        handle.get(propagate=False, on_message=told.append)

    assert [body["status"] for body in told] == ["FAILURE", "FAILURE"]
    assert isinstance(told[0]["result"], ValueError)
    assert told[0]["traceback"] == "Traceback: line 1"


@pytest.mark.django_db(transaction=True)
def test_what_the_callback_raises_ends_the_wait(send: Send) -> None:
    id = send(status="STARTED")

    def refuse(body: dict[str, Any]) -> None:
        raise KeyError(body["status"])

    with pytest.raises(KeyError, match="STARTED"):
        AsyncResult[Any](id).get(timeout=30, on_message=refuse)


# -- without blocking


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_waits_while_the_loop_goes_on(send: Send, end: End) -> None:
    id = send()
    beats: list[int] = []

    async def beat() -> None:
        while True:
            beats.append(1)
            await asyncio.sleep(0.005)

    async def wait() -> Any:
        heart = asyncio.create_task(beat())
        waiting = asyncio.create_task(AsyncResult[Any](id).aget(timeout=30))
        while len(beats) < 10:
            await asyncio.sleep(0.005)
        await sync_to_async(end)(id, "done")
        found = await waiting
        heart.cancel()
        return found

    assert async_to_sync(wait)() == "done"
    assert len(beats) >= 10


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_is_told_of_failures_states_and_timeouts(send: Send, end: End) -> None:
    failed, waiting = send(), send(status="PROGRESS", result="5")
    end(failed, error=ValueError("no"))
    told: list[Any] = []

    with pytest.raises(ValueError, match="no"):
        async_to_sync(AsyncResult[Any](failed).aget)()
    with pytest.raises(TimeoutError, match=r"is PROGRESS after 0\.05 seconds"):
        async_to_sync(AsyncResult[Any](waiting).aget)(
            timeout=0.05, on_message=lambda body: told.append(body["result"])
        )

    assert told == [5]


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_wait_leaves_nothing_behind(send: Send) -> None:
    id = send()

    async def give_up() -> None:
        async with asyncio.timeout(0.05):
            await AsyncResult[Any](id).aget()

    with pytest.raises(builtins.TimeoutError):
        async_to_sync(give_up)()


# -- what it costs


@pytest.mark.django_db
def test_children_are_found_by_an_index() -> None:
    if connection.vendor == "sqlite":
        with CaptureQueriesContext(connection):
            plan = TaskResult.objects.filter(parent_id="x").order_by("created_at", "id").explain()
        assert "django_tasks_result_parent" in plan


@pytest.mark.django_db
def test_an_id_of_a_rolled_back_task_is_unknown() -> None:
    with transaction.atomic():
        handle = child.delay(1)
        transaction.set_rollback(True)

    assert (handle.state, handle.name) == ("PENDING", None)
