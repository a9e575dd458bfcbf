"""Middleware around sending and around executing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.test import override_settings

from django_tasks import Task, current_task, middleware, task
from django_tasks.exceptions import Ignore
from django_tasks.execution.executor import execute_async
from django_tasks.execution.outcome import Request, Succeeded
from django_tasks.message.message import TaskMessage
from django_tasks.models import QueuedMessage, TaskResult

HERE = "tests.observability.test_middleware"
Handler = Callable[[TaskMessage], Any]
calls: list[str] = []


@task(name="middleware.add")
def add(x: int, y: int) -> int:
    calls.append("body")
    return x + y


@task(name="middleware.later", bind=True, default_retry_delay=0)
def later(self: Task[..., Any]) -> Any:
    if not self.request.retries:
        raise self.retry()
    return (self.request.headers or {}).get("stamp")


@task(name="middleware.coroutine")
async def coroutine(x: int) -> int:
    await asyncio.sleep(0)
    calls.append("body")
    return x + 1


def aware(execute: Handler) -> Handler:
    """Does something after the body, also where that is a coroutine."""
    assert iscoroutinefunction(execute)

    async def through(message: TaskMessage) -> Any:
        calls.append("before")
        answer = await execute(message)
        calls.append("after")
        return answer

    return through


def outer(get_next: Handler) -> Handler:
    def through(message: TaskMessage) -> Any:
        calls.append("outer in")
        try:
            return get_next(message)
        finally:
            calls.append("outer out")

    return through


def inner(get_next: Handler) -> Handler:
    def through(message: TaskMessage) -> Any:
        calls.append("inner in")
        answer = get_next(message)
        calls.append("inner out")
        return answer

    return through


def doubling(get_next: Handler) -> Handler:
    """Replaces the arguments."""

    def through(message: TaskMessage) -> Any:
        return get_next(dataclasses.replace(message, args=tuple(arg * 2 for arg in message.args)))

    return through


def short(get_next: Handler) -> Handler:
    """Answers without asking what comes next."""
    return lambda message: f"instead of {message.task}"


def refusing(get_next: Handler) -> Handler:
    def through(message: TaskMessage) -> Any:
        raise PermissionError("not today")

    return through


def ignoring(get_next: Handler) -> Handler:
    def through(message: TaskMessage) -> Any:
        raise Ignore

    return through


def stamping(send: Handler) -> Handler:
    def through(message: TaskMessage) -> Any:
        return send(dataclasses.replace(message, headers={**message.headers, "stamp": "blue"}))

    return through


def renaming(send: Handler) -> Handler:
    return lambda message: send(dataclasses.replace(message, id="another"))


def forgetting(send: Handler) -> Handler:
    def through(message: TaskMessage) -> None:
        send(message)

    return through


def unused(get_next: Handler) -> Handler:
    raise MiddlewareNotUsed


def no_factory(get_next: Handler) -> None:
    """Forgets to return what it made."""


class Counting:
    """A factory may be a class, as Django's."""

    made = 0

    def __init__(self, get_next: Handler) -> None:
        self.get_next = get_next
        type(self).made += 1

    def __call__(self, message: TaskMessage) -> Any:
        calls.append(repr(current_task))
        return self.get_next(message)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    calls.clear()
    middleware.chain.cache_clear()
    yield
    middleware.chain.cache_clear()


def around(*names: str, sending: tuple[str, ...] = ()) -> override_settings:
    return override_settings(
        DJANGO_TASKS={
            "EXECUTE_MIDDLEWARE": [f"{HERE}.{name}" for name in names],
            "SEND_MIDDLEWARE": [f"{HERE}.{name}" for name in sending],
        }
    )


# -- executing


def test_the_first_is_the_outermost() -> None:
    with around("outer", "inner"):
        result = add.apply((2, 3))

    assert result.get() == 5
    assert calls == ["outer in", "inner in", "body", "inner out", "outer out"]


def test_arguments_may_be_replaced_before_the_body_is_called() -> None:
    with around("doubling"):
        assert add.apply((2, 3)).get() == 10


def test_one_that_does_not_call_what_comes_next_answers_instead_of_the_body() -> None:
    with around("outer", "short", "inner"):
        result = add.apply((2, 3))

    assert (result.get(), calls) == ("instead of middleware.add", ["outer in", "outer out"])


def test_one_that_raises_while_executing_fails_the_task() -> None:
    with around("outer", "refusing"):
        result = add.apply((2, 3))

    assert (result.state, repr(result.result)) == ("FAILURE", "PermissionError('not today')")
    assert calls == ["outer in", "outer out"]


def test_it_may_raise_what_a_body_may_raise() -> None:
    with around("ignoring"):
        assert add.apply((2, 3)).state == "IGNORED"


def test_a_factory_is_called_once_and_its_middleware_knows_the_task() -> None:
    Counting.made = 0

    with around("Counting"):
        add.apply((2, 3))
        add.apply((2, 3))

    assert Counting.made == 1
    assert calls == [repr(add), "body"] * 2


def test_a_factory_that_is_not_used_is_left_out() -> None:
    with around("unused", "inner"):
        assert add.apply((2, 3)).get() == 5

    assert calls == ["inner in", "body", "inner out"]


@pytest.mark.parametrize(
    ("name", "words"), [("no_factory", "must return a callable"), ("nowhere", "cannot be imported")]
)
def test_a_path_that_leads_to_no_middleware_is_said_with_its_setting(name: str, words: str) -> None:
    with around(name):
        result = add.apply((2, 3))

    assert isinstance(result.result, ImproperlyConfigured)
    assert "EXECUTE_MIDDLEWARE" in str(result.result)
    assert words in str(result.result)


@pytest.mark.parametrize(
    "names", [("Counting", "aware", "doubling"), ("aware", "Counting"), ("short", "aware")]
)
def test_around_a_coroutine_what_comes_next_is_a_coroutine_function(names: tuple[str, ...]) -> None:
    message = TaskMessage(id="an-id", task=coroutine.name, args=(2,))

    with around(*names):
        outcome = asyncio.run(execute_async(Request(message=message, worker="worker@host"), is_eager=True))

    assert isinstance(outcome, Succeeded)
    if "short" in names:
        assert (outcome.result, calls) == ('"instead of middleware.coroutine"', [])
    else:
        assert outcome.result == ("5" if "doubling" in names else "3")
        assert [call for call in calls if call != repr(coroutine)] == ["before", "body", "after"]


# -- sending


@pytest.mark.django_db
def test_what_is_sent_may_be_replaced() -> None:
    with around(sending=("outer", "stamping")):
        sent = add.apply_async((2, 3), headers={"own": 1})

    row = TaskResult.objects.get(id=sent.id)
    assert '"stamp": "blue"' in row.message
    assert '"own": 1' in row.message
    assert calls == ["outer in", "outer out"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "error"), [("refusing", PermissionError), ("forgetting", TypeError), ("renaming", TypeError)]
)
def test_one_that_raises_or_answers_nonsense_sends_nothing(name: str, error: type[Exception]) -> None:
    with around(sending=(name,)), pytest.raises(error):
        add.delay(2, 3)

    assert not TaskResult.objects.exists()
    assert not QueuedMessage.objects.exists()


@pytest.mark.django_db
def test_of_many_sent_at_once_each_goes_through_and_none_is_sent_if_one_is_refused() -> None:
    with around(sending=("outer",)):
        add.bulk([(1, 1), (2, 2)])
    with around(sending=("refusing",)), pytest.raises(PermissionError):
        add.bulk([(1, 1), (2, 2)])

    assert calls == ["outer in", "outer out"] * 2
    assert TaskResult.objects.count() == 2


@pytest.mark.django_db
def test_what_is_sent_on_commit_goes_through_where_it_is_written(
    django_capture_on_commit_callbacks: Any,
) -> None:
    with around(sending=("outer",)):
        add.delay_on_commit(2, 3)

    assert calls == ["outer in", "outer out"]


def test_an_eager_task_goes_through_both_and_a_retry_keeps_what_was_added() -> None:
    with around("inner", sending=("stamping", "outer")):
        result = later.apply()

    assert result.get() == "blue"
    assert calls.count("outer in") == 1
    assert calls.count("inner in") == 2
