"""`async def` tasks without a worker: called, run where they are sent, sent from async code; what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.test import override_settings

from django_tasks import Task, current_task, task
from django_tasks.exceptions import SoftTimeLimitExceeded
from django_tasks.execution.executor import execute_async
from django_tasks.execution.interruption import interrupted_after, interruptible
from django_tasks.execution.outcome import Failed, Request
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult
from tests.ledger.models import Entry

EAGER = override_settings(DJANGO_TASKS={"TASK_ALWAYS_EAGER": True})


@task
async def add(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


@task(bind=True)
async def look(self: Task[..., Any], value: object) -> list[Any]:
    await asyncio.sleep(0)
    request = self.request
    return [request.is_eager, request.called_directly, request.retries, value]


@task(bind=True, max_retries=2)
async def again(self: Task[..., Any]) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries


@task(autoretry_for=(OSError,), retry_kwargs={"max_retries": 1, "countdown": 0})
async def unlucky() -> None:
    raise OSError("again")


@task
async def store() -> int:
    await Entry.objects.acreate(task_id="stored", pid=0, at=0)
    return await Entry.objects.acount()


def test_called_it_is_a_coroutine_with_a_request() -> None:
    async def call() -> tuple[int, list[Any]]:
        return await add(1, 2), await look("x")

    assert asyncio.run(call()) == (3, [False, True, 0, "x"])


def test_called_many_times_at_once_each_sees_its_own_request() -> None:
    @task(bind=True)
    async def own(self: Task[..., Any], number: int) -> tuple[Any, ...]:
        await asyncio.sleep(0.001 * (number % 3))
        assert current_task.name == self.name
        return self.request.args

    async def call() -> list[tuple[Any, ...]]:
        return await asyncio.gather(*(own(number) for number in range(20)))

    assert asyncio.run(call()) == [(number,) for number in range(20)]
    assert not current_task


def test_apply_runs_it_here() -> None:
    result = add.apply((2, 2))

    assert (result.get(), result.state) == (4, "SUCCESS")
    assert look.apply(((1, 2),)).get() == [True, False, 0, [1, 2]]


def test_retries_follow_at_once_where_it_is_run_here() -> None:
    assert again.apply().get() == 2
    assert unlucky.apply().state == "FAILURE"


def test_apply_in_a_running_loop_says_what_to_write_instead() -> None:
    async def call() -> None:
        add.apply((1, 2))

    with pytest.raises(RuntimeError, match=r"await task\.adelay\(\.\.\.\)"):
        asyncio.run(call())


@EAGER
def test_with_the_setting_adelay_runs_it_below_the_running_loop() -> None:
    async def call() -> int:
        return (await add.adelay(1, 2)).get()

    assert asyncio.run(call()) == 3


@EAGER
@pytest.mark.django_db(transaction=True)
def test_the_database_is_there_where_it_is_run_here() -> None:
    assert store.delay().get() == 1


@pytest.mark.django_db(transaction=True)
def test_async_code_sends_without_blocking() -> None:
    @task
    def plain(number: int) -> None: ...

    async def send() -> list[str]:
        return [(await plain.adelay(1)).id, (await add.aapply_async((1, 2), queue="other")).id]

    ids = async_to_sync(send)()

    assert list(TaskResult.objects.filter(id__in=ids).order_by("queue").values_list("queue", flat=True)) == [
        "default",
        "other",
    ]


@pytest.mark.django_db(transaction=True)
def test_below_a_plain_function_it_joins_the_transaction_that_is_open_there() -> None:
    async def send() -> str:
        return (await add.adelay(1, 2)).id

    def call() -> None:
        with transaction.atomic():
            async_to_sync(send)()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call()

    assert not TaskResult.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_delay_in_async_code_says_what_to_write_instead() -> None:
    async def send() -> None:
        add.delay(1, 2)

    with pytest.raises(SynchronousOnlyOperation, match=r"await task\.adelay\(\.\.\.\)"):
        asyncio.run(send())

    assert not TaskResult.objects.exists()


def test_a_coroutine_that_a_decorator_hides_is_a_failure_that_says_so() -> None:
    async def body() -> None: ...

    @task
    def hidden() -> Any:
        return body()

    with pytest.raises(TypeError, match="returned a coroutine that nobody awaits"):
        hidden.apply(throw=True)


@pytest.mark.parametrize("handler", ["before_start", "on_success", "on_failure", "on_retry", "after_return"])
def test_a_handler_that_is_a_coroutine_is_refused(handler: str) -> None:
    async def coroutine(*args: object) -> None: ...

    with pytest.raises(TypeError, match=f"{handler} must be a plain function"):
        type("Handling", (Task,), {handler: coroutine, "abstract": True})


@pytest.mark.django_db(transaction=True)
def test_handlers_run_in_a_thread_and_see_the_request() -> None:
    seen: list[tuple[str, Any, int]] = []

    class Watching(Task[..., Any]):
        abstract = True

        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            seen.append((retval, self.request.id == task_id, Entry.objects.count()))

    @task(base=Watching)
    async def watched() -> str:
        return "fine"

    async def run() -> None:
        # Below a plain function, "in a thread" is the thread of that function, with its connections.
        await sync_to_async(watched.apply)()

    async_to_sync(run)()

    assert seen == [("fine", True, 0)]


def test_a_task_class_may_have_an_async_run() -> None:
    class Double(Task[[int], Any]):
        name = "tests.execution.double"

        async def run(self, number: int) -> int:
            return 2 * number

    assert Double().apply((4,)).get() == 8
    assert Double.is_async


def interrupted(body: Any, seconds: float = 0.01) -> Any:
    async def run() -> Any:
        with interrupted_after(seconds):
            return await interruptible(body)

    return asyncio.run(run())


def test_an_interruption_is_raised_where_the_body_waits() -> None:
    async def body() -> str:
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0)
            return "cleaned up"
        return "never"

    assert interrupted(body()) == "cleaned up"


def test_unhandled_it_comes_out_as_what_users_know() -> None:
    async def body() -> None:
        await asyncio.sleep(60)

    with pytest.raises(SoftTimeLimitExceeded) as raised:
        interrupted(body())

    assert type(raised.value) is SoftTimeLimitExceeded


def test_a_task_group_cleans_up_after_itself_when_it_is_interrupted() -> None:
    ended: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("child")

    async def body() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
        except SoftTimeLimitExceeded:
            ended.append("body")
        return "after"

    assert interrupted(body()) == "after"
    assert ended == ["child", "body"]


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    async def body() -> str:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return str(task.cancelling())

    assert interrupted(body(), seconds=60) == "0"


def test_a_cancellation_by_others_stays_one() -> None:
    async def body() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        raise asyncio.CancelledError("mine")

    async def run() -> Any:
        with interrupted_after(60):
            await interruptible(body())

    with pytest.raises(asyncio.CancelledError, match="mine"):
        asyncio.run(run())


def test_cancelled_from_outside_it_is_a_failure_and_the_outcome_is_still_told() -> None:
    begun = asyncio.Event()

    @task
    async def endless() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def run() -> Any:
        request = Request(message=TaskMessage(id="x", task=endless.name), worker="w@h")
        running = asyncio.ensure_future(execute_async(request))
        await begun.wait()
        running.cancel()
        return await running

    outcome = asyncio.run(run())

    assert isinstance(outcome, Failed)
    assert "CancelledError" in outcome.error
