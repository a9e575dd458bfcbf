"""Trying again, run eagerly and on its own (FEATURES §7, §8)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from django_tasks import Task, task
from django_tasks.definition.context import Again, Context
from django_tasks.definition.request import running
from django_tasks.definition.retry import backoff
from django_tasks.exceptions import MaxRetriesExceededError, Reject, Retry
from django_tasks.message.message import TaskMessage


class Busy(Exception):
    pass


def ask(asking: Task[..., Any], *, retries: int = 0, **arguments: Any) -> Again:
    """What a run of the task that calls `retry` so is followed by."""
    message = TaskMessage(
        id="a", task=asking.name, args=(1,), kwargs={"y": 2}, queue="other", priority=3, retries=retries,
        root_id="r", parent_id="p", time_limit=9.0, headers={"mine": 1}, group="g",
    )  # fmt: skip
    context = Context.of(message)
    with running(asking, context):
        asking.retry(throw=False, **arguments)
    assert context._retry is not None
    return context._retry


@task
def patient(x: int = 0, y: int = 0) -> None: ...


def test_ret_01_ret_16_the_next_run_keeps_everything_but_counts() -> None:
    again = ask(patient).message

    assert (again.id, again.retries, again.queue, again.priority) == ("a", 1, "other", 3)
    assert (again.args, again.kwargs, again.headers, again.group) == ((1,), {"y": 2}, {"mine": 1}, "g")
    assert (again.root_id, again.parent_id, again.time_limit) == ("r", "p", 9.0)


def test_opt_15_without_a_time_it_waits_three_minutes() -> None:
    waits = ask(patient).message.eta - timezone.now()  # type: ignore[operator]

    assert dt.timedelta(seconds=175) < waits <= dt.timedelta(seconds=180)


def test_ret_09_countdown_says_when() -> None:
    waits = ask(patient, countdown=60).message.eta - timezone.now()  # type: ignore[operator]

    assert dt.timedelta(seconds=55) < waits <= dt.timedelta(seconds=60)


def test_ret_10_eta_says_when() -> None:
    eta = timezone.now() + dt.timedelta(days=1)

    assert ask(patient, eta=eta).message.eta == eta


def test_ret_12_ret_13_arguments_and_options_can_be_changed() -> None:
    again = ask(patient, args=(7,), kwargs={"y": 8}, queue="third", priority=1, headers={"new": 2}).message

    assert (again.args, again.kwargs, again.queue, again.priority) == ((7,), {"y": 8}, "third", 1)
    assert (again.headers, again.argsrepr) == ({"new": 2}, "(7,)")


def test_ret_06_after_the_last_run_the_given_exception_is_raised() -> None:
    with pytest.raises(Busy):
        ask(patient, retries=3, exc=Busy())


def test_ret_07_without_one_the_error_says_what_could_not_be_retried() -> None:
    """FEATURES D-MAXEXC."""
    with pytest.raises(MaxRetriesExceededError, match=r"Can't retry .*patient\[a\] args:"):
        ask(patient, retries=3)


def test_ret_11_a_call_may_allow_more_runs_or_fewer() -> None:
    assert ask(patient, retries=3, max_retries=5)
    with pytest.raises(MaxRetriesExceededError):
        ask(patient, retries=0, max_retries=0)
    with pytest.raises(MaxRetriesExceededError):
        ask(patient, retries=3, max_retries=None)


def test_opt_14_none_is_without_end() -> None:
    @task(max_retries=None)
    def stubborn() -> None: ...

    assert ask(stubborn, retries=10_000).message.retries == 10_001


def test_ret_14_called_directly_it_raises_what_there_is() -> None:
    @task
    def direct(how: str) -> None:
        if how == "exc":
            direct.retry(exc=Busy("given"))
        try:
            if how == "handled":
                raise Busy("handled")
        except Busy:
            direct.retry()
        direct.retry()

    with pytest.raises(Busy, match="given"):
        direct("exc")
    with pytest.raises(Busy, match="handled"):
        direct("handled")
    with pytest.raises(Retry):
        direct("nothing")


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"retry_backoff": True}, [1, 2, 4, 8]),
        ({"retry_backoff": 3}, [3, 6, 12, 24]),
        ({"retry_backoff": 0.2}, [1, 2, 4, 8]),
        ({"retry_backoff": True, "retry_backoff_max": 5}, [1, 2, 4, 5]),
    ],
)
def test_aut_03_aut_04_aut_06_delays_are_doubled_up_to_the_cap(options: Any, delays: list[float]) -> None:
    """FEATURES OPT-18, OPT-19, D-BACKOFFMAX."""

    @task(retry_jitter=False, **options)
    def backing_off() -> None: ...

    assert [backoff(backing_off, retries) for retries in range(4)] == delays


def test_aut_07_jitter_draws_from_nothing_to_the_whole_delay() -> None:
    """FEATURES OPT-20."""

    @task(retry_backoff=True)
    def jumpy() -> None: ...

    assert {backoff(jumpy, 2) for _ in range(500)} == {0, 1, 2, 3, 4}


def test_a_backoff_after_very_many_runs_is_still_the_cap() -> None:
    @task(retry_backoff=True, retry_jitter=False)
    def old() -> None: ...

    assert backoff(old, 100_000) == 600


# -- run to the end, eagerly


def test_aut_08_an_automatic_retry_gives_up_with_the_original_exception() -> None:
    """FEATURES OPT-17."""
    runs = []

    @task(autoretry_for=[Busy], retry_kwargs={"max_retries": 5})
    def refresh_timeline() -> None:
        runs.append(refresh_timeline.request.retries)
        raise Busy("always")

    result = refresh_timeline.apply()

    assert runs == [0, 1, 2, 3, 4, 5]
    assert result.state == "FAILURE"
    with pytest.raises(Busy, match="always"):
        result.get()


def test_aut_01_other_exceptions_fail_at_once() -> None:
    """FEATURES OPT-16."""

    @task(autoretry_for=(Busy,))
    def wrong() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        wrong.apply(throw=True)


def test_aut_10_what_is_excepted_is_not_retried() -> None:
    @task(autoretry_for=(Exception,), dont_autoretry_for=(Busy,))
    def excepted() -> None:
        runs.append(1)
        raise Busy

    runs: list[int] = []
    excepted.apply()

    assert runs == [1]


def test_aut_02_orders_about_the_run_are_no_errors() -> None:
    @task(autoretry_for=(Exception,))
    def rejecting() -> None:
        runs.append(1)
        raise Reject("no")

    runs: list[int] = []

    assert rejecting.apply().state == "FAILURE"
    assert runs == [1]


def test_ret_03_with_throw_false_the_body_goes_on_and_the_next_run_counts() -> None:
    trace = []

    @task(bind=True)
    def going_on(self: Task[..., Any]) -> int:
        if not self.request.retries:
            self.retry(throw=False, countdown=0)
            trace.append("went on")
        return self.request.retries

    assert going_on.apply().get() == 1
    assert trace == ["went on"]


def test_ret_19_the_task_object_works_as_well_as_self() -> None:
    @task
    def div(x: int, y: int) -> float:
        try:
            return x / y
        except ZeroDivisionError as error:
            raise div.retry(exc=error, args=(x, y + 1), countdown=0) from error

    assert div.apply((4, 0)).get() == 4


def test_ret_17_max_retries_alone_retries_nothing() -> None:
    runs = []

    @task(max_retries=5)
    def once() -> None:
        runs.append(1)
        raise Busy

    assert once.apply().failed()
    assert runs == [1]


def test_cls_07_options_of_a_base_are_inherited_and_can_be_overridden() -> None:
    class BaseTaskWithRetry(Task[..., Any]):
        abstract = True
        autoretry_for = (TypeError,)
        max_retries = 5
        retry_backoff = True
        retry_backoff_max = 700
        retry_jitter = False

    @task(base=BaseTaskWithRetry, max_retries=1)
    def inheriting() -> None:
        runs.append(1)
        raise TypeError

    runs: list[int] = []
    inheriting.apply()

    assert len(runs) == 2
    assert (inheriting.retry_backoff_max, backoff(inheriting, 0)) == (700, 1)
