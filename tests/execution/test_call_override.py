"""Classes that override `__call__`: workers call it, as Celery's do (FEATURES EXM-12)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from django_tasks import Task, task
from django_tasks.exceptions import Retry
from tests.ledger.tasks import debugged, debugged_async

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("sent", [debugged, debugged_async], ids=["plain", "async"])
def test_what_is_around_the_body_and_the_body_have_one_request(sent: Task[..., Any]) -> None:
    result = sent.apply((5,))

    assert result.get() == ["around", result.id, [result.id, 5]]


def test_called_like_a_function_there_is_no_request() -> None:
    assert debugged(5) == ["around", None, [None, 5]]
    assert asyncio.run(debugged_async(5)) == ["around", None, [None, 5]]


class Twice(Task[..., Any]):
    """Calls the body once more if it raises."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except ValueError:
            return super().__call__(*args, **kwargs)


def test_the_body_may_be_called_again_in_the_same_run() -> None:
    ids: list[str | None] = []

    @task(base=Twice, bind=True, name="tests.stumble")
    def stumble(self: Task[..., Any]) -> str:
        ids.append(self.request.id)
        if len(ids) == 1:
            raise ValueError
        return "up again"

    result = stumble.apply()

    assert result.get() == "up again"
    assert ids == [result.id, result.id]


def test_a_body_that_calls_its_task_begins_a_run_of_its_own() -> None:
    @task(base=Twice, bind=True, name="tests.descend")
    def descend(self: Task[..., Any], depth: int) -> list[Any]:
        below = self(depth - 1) if depth else []
        return [self.request.id, *below]

    result = descend.apply((2,))

    assert result.get() == [result.id, None, None]


def test_a_retry_from_around_the_body_is_one() -> None:
    runs: list[int] = []

    class Patient(Task[..., Any]):
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            runs.append(self.request.retries)
            if not self.request.retries:
                raise self.retry(countdown=0)
            return super().__call__(*args, **kwargs)

    @task(base=Patient, name="tests.wait_for_it")
    def wait_for_it() -> str:
        return "there"

    assert wait_for_it.apply().get() == "there"
    assert runs == [0, 1]
    with pytest.raises(Retry):
        wait_for_it()


def test_an_answer_without_the_body_is_the_result_of_a_coroutine_too() -> None:
    class Remembering(Task[..., Any]):
        abstract = True

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return "remembered" if args == (1,) else super().__call__(*args, **kwargs)

    @task(base=Remembering, name="tests.look_up")
    async def look_up(key: int) -> str:
        return f"looked up {key}"

    assert [look_up.apply((key,)).get() for key in (1, 2)] == ["remembered", "looked up 2"]
