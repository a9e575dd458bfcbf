"""What a task returns or raises may be large; what is stored of it is not without limit."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from django_tasks import Task, task
from django_tasks.exceptions import ResultTooLarge
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Request, Succeeded
from django_tasks.message.errors import LONGEST_ARGUMENT
from django_tasks.message.message import TaskMessage

SMALL = override_settings(DJANGO_TASKS={"RESULT_MAX_BYTES": 1000})


@task
def repeat(text: str, times: int) -> str:
    return text * times


@task
def quote(text: str, times: int) -> None:
    raise ValueError(text * times, "short")


@task(bind=True, ignore_result=True)
def unwritable(self: Task[..., Any]) -> object:
    return object()


@SMALL
def test_a_result_up_to_the_limit_is_stored() -> None:
    assert len(repeat.apply(("x", 998)).get()) == 998


@SMALL
@pytest.mark.parametrize(("text", "times", "size"), [("x", 999, "1,001"), ("ü", 500, "3,002")])
def test_a_result_beyond_it_fails_the_task_with_advice(text: str, times: int, size: str) -> None:
    result = repeat.apply((text, times))

    assert result.state == "FAILURE"
    with pytest.raises(
        ResultTooLarge, match=f"The result takes {size} bytes as JSON, and 1,000 are the most. Store it"
    ):
        result.get()


def test_by_default_a_result_may_take_a_megabyte() -> None:
    assert repeat.apply(("x", 999_000)).state == "SUCCESS"
    assert repeat.apply(("x", 1_000_000)).state == "FAILURE"


def test_an_exception_that_quotes_all_it_saw_is_stored_in_short() -> None:
    result = quote.apply(("x", 10_000_000))

    quoted, short = result.get(propagate=False).args  # type: ignore[attr-defined]
    assert len(quoted) < LONGEST_ARGUMENT
    assert short == "short"
    assert len(result.traceback or "") < 300_000


def test_a_result_that_is_not_stored_need_not_be_storable() -> None:
    """FEATURES OPT-12."""
    message = TaskMessage(id="1", task=unwritable.name, ignore_result=True)

    outcome = execute(Request(message=message, worker="w", tracked=False), is_eager=True)

    assert isinstance(outcome, Succeeded)
