"""Tasks run where they are sent (FEATURES CAL-05, CAL-06)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase, override_settings

from django_tasks import Task, task
from django_tasks.exceptions import EncodeError, Ignore
from django_tasks.models import TaskResult

ALWAYS = override_settings(DJANGO_TASKS={"TASK_ALWAYS_EAGER": True})


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def fail() -> None:
    raise ValueError("bang")


@task(bind=True)
def look(self: Task[..., Any], value: object) -> list[Any]:
    request = self.request
    return [request.is_eager, request.called_directly, request.retries, value]


def test_apply_runs_here_and_knows_the_end() -> None:
    """FEATURES CAL-05."""
    result = add.apply((2, 2))

    assert (result.get(), result.state, result.ready(), result.successful()) == (4, "SUCCESS", True, True)


def test_a_failure_is_kept_with_its_traceback_and_raised_by_get() -> None:
    result = fail.apply()

    assert (result.state, result.failed()) == ("FAILURE", True)
    assert 'raise ValueError("bang")' in (result.traceback or "")
    with pytest.raises(ValueError, match="bang"):
        result.get()
    assert str(result.get(propagate=False)) == "bang"


def test_throw_raises_at_once() -> None:
    """FEATURES CAL-05."""
    with pytest.raises(ValueError, match="bang"):
        fail.apply(throw=True)


def test_the_request_says_so_and_arguments_went_through_the_serializer() -> None:
    """FEATURES CAL-05, REQ-10."""
    assert look.apply(((1, 2),)).get() == [True, False, 0, [1, 2]]


def test_what_cannot_be_sent_cannot_be_run_here_either() -> None:
    with pytest.raises(EncodeError):
        look.apply((object(),))


def test_an_ignored_run_ends_without_a_result() -> None:
    @task
    def ignoring() -> None:
        raise Ignore

    assert (ignoring.apply().state, ignoring.apply().get()) == ("IGNORED", None)


@ALWAYS
def test_with_the_setting_everything_sent_is_run_here() -> None:
    """FEATURES CAL-06."""
    assert add.delay(1, 2).get() == 3
    assert add.apply_async((1, 2), countdown=3600).get() == 3
    assert [result.get() for result in add.bulk([(1, 1), (2, 2)])] == [2, 4]


@override_settings(DJANGO_TASKS={"TASK_ALWAYS_EAGER": True, "TASK_EAGER_PROPAGATES": True})
def test_errors_propagate_if_the_setting_says_so() -> None:
    """FEATURES CAL-06."""
    with pytest.raises(ValueError, match="bang"):
        fail.delay()


class OnCommitTest(TestCase):
    @ALWAYS
    def test_on_commit_is_respected(self) -> None:
        ran: list[int] = []

        @task
        def note(number: int) -> None:
            ran.append(number)

        with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
            note.delay_on_commit(1)
            before = list(ran)

        assert (before, ran) == ([], [1])
        assert not TaskResult.objects.exists()


class Stumbling(Task[..., Any]):
    """Has a handler that fails."""

    abstract = True

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        raise LookupError("in the handler")


@task(base=Stumbling)
def stumble_after() -> str:
    return "fine"


def test_hnd_09_what_a_handler_raises_is_raised_where_the_task_was_sent() -> None:
    with pytest.raises(LookupError, match="in the handler"):
        stumble_after.apply()
