"""The signals: when they are sent, with which arguments, and that receivers cannot do harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from django_tasks import Task, signals, task
from django_tasks.exceptions import EncodeError
from django_tasks.signals import TaskSignal

Told = list[tuple[str, dict[str, Any]]]


@task(name="signals.add")
def add(x: int, y: int) -> int:
    return x + y


@task(name="signals.fail")
def fail() -> None:
    raise ValueError("bang")


@task(bind=True, name="signals.again", default_retry_delay=0)
def again(self: Task[..., Any]) -> int:
    if not self.request.retries:
        raise self.retry(exc=ValueError("busy"))
    return self.request.retries


@pytest.fixture
def listen() -> Iterator[Callable[..., Told]]:
    """Listens to signals, and answers the list of what they tell: (name, arguments)."""
    told: Told = []
    ears: list[tuple[TaskSignal, Callable[..., None]]] = []

    def listen(*names: str, sender: object = None) -> Told:
        for name in names:
            signal: TaskSignal = getattr(signals, name)

            def hear(signal: TaskSignal, **about: Any) -> None:
                told.append((signal.name, about))

            signal.connect(hear, sender=sender, weak=False)
            ears.append((signal, hear))
        return told

    yield listen
    for signal, hear in ears:
        for sender in (None, "signals.add", add):
            signal.disconnect(hear, sender=sender)


RUNNING = ("task_prerun", "task_success", "task_failure", "task_retry", "task_postrun")


def test_a_success_is_told_with_celery_s_arguments(listen: Callable[..., Told]) -> None:
    told = listen(*RUNNING)

    result = add.apply((2, 3))

    about = {"task_id": result.id, "task": add, "args": (2, 3), "kwargs": {}, "sender": add}
    assert told == [
        ("task_prerun", about),
        ("task_success", {"sender": add, "result": 5}),
        ("task_postrun", {**about, "retval": 5, "state": "SUCCESS"}),
    ]


def test_a_failure_is_told_with_celery_s_arguments(listen: Callable[..., Told]) -> None:
    told = listen("task_failure", "task_postrun", "task_success")

    result = fail.apply()

    (name, about), (last, end) = told
    assert (name, last) == ("task_failure", "task_postrun")
    assert set(about) == {"sender", "task_id", "exception", "args", "kwargs", "traceback", "einfo"}
    assert (about["sender"], about["task_id"], repr(about["exception"])) == (
        fail,
        result.id,
        "ValueError('bang')",
    )
    assert about["traceback"] is about["exception"].__traceback__
    assert "raise ValueError" in about["einfo"].traceback
    assert (end["state"], end["retval"]) == ("FAILURE", about["exception"])


def test_a_retry_is_told_with_its_reason(listen: Callable[..., Told]) -> None:
    told = listen("task_retry", "task_postrun")

    result = again.apply()

    (name, about), *ends = told
    assert name == "task_retry"
    assert (about["request"].id, about["sender"], str(about["reason"])) == (result.id, again, "busy")
    assert [end["state"] for _, end in ends] == ["RETRY", "SUCCESS"]


def test_a_receiver_s_error_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def explode(**about: object) -> None:
        raise RuntimeError("receivers are nobody's business")

    for name in RUNNING:
        getattr(signals, name).connect(explode)
    try:
        result = add.apply((2, 3))
    finally:
        for name in RUNNING:
            getattr(signals, name).disconnect(explode)

    assert result.get() == 5
    ours = [record for record in caplog.records if record.name == "django_tasks.signals"]
    assert [record.message.split(" of ")[-1].split()[0] for record in ours] == [
        "task_prerun",
        "task_success",
        "task_postrun",
    ]


def test_a_receiver_that_wants_to_end_the_process_does_not(caplog: pytest.LogCaptureFixture) -> None:
    def leave(**about: object) -> None:
        raise SystemExit

    signals.task_prerun.connect(leave)
    try:
        result = add.apply((2, 3))
    finally:
        signals.task_prerun.disconnect(leave)

    assert result.get() == 5
    assert "A receiver of task_prerun failed" in caplog.text


def test_a_coroutine_can_listen_even_where_a_loop_runs(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    async def hear(**about: object) -> None:
        heard.append(about["task_id"])

    async def run_in_loop() -> None:
        signals.task_prerun.tell(add, task_id="in a loop")

    signals.task_prerun.connect(hear)
    try:
        signals.task_prerun.tell(add, task_id="outside")
        asyncio.run(run_in_loop())
    finally:
        signals.task_prerun.disconnect(hear)

    assert heard == ["outside"]
    assert "A receiver of task_prerun failed" in caplog.text


def test_nobody_is_asked_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskSignal, "send_robust", lambda *args, **kwargs: pytest.fail("asked"))

    assert add.apply((2, 3)).get() == 5


def test_connect_is_a_decorator_with_arguments_and_leaves_the_function_what_it_is() -> None:
    heard: list[object] = []

    @signals.task_success.connect(sender=add)
    def hear(sender: object, result: object, **more: object) -> None:
        heard.append(result)

    try:
        add.apply((2, 3))
        again.apply()
    finally:
        signals.task_success.disconnect(hear, sender=add)

    assert callable(hear)
    assert heard == [5]


def test_senders_that_are_names_are_the_same_if_they_are_equal() -> None:
    heard: list[object] = []
    name = "shop.tasks.send"

    @signals.before_task_publish.connect(sender="".join(list(name)))
    def hear(sender: str, **about: object) -> None:
        heard.append(sender)

    try:
        signals.before_task_publish.tell("".join(list(name)))
        signals.before_task_publish.tell("shop.tasks.other")
        assert signals.before_task_publish.disconnect(hear, sender="".join(list(name)))
    finally:
        signals.before_task_publish.disconnect(hear, sender=name)

    assert heard == [name]


# -- sending


@pytest.mark.django_db(transaction=True)
def test_sending_is_told_before_and_after_with_celery_s_arguments(listen: Callable[..., Told]) -> None:
    told = listen("before_task_publish", "after_task_publish", sender="signals.add")

    sent = add.apply_async((2,), {"y": 3}, queue="other", headers={"tenant": "blue"})

    (before, about), (after, then) = told
    assert (before, after) == ("before_task_publish", "after_task_publish")
    assert set(about) == {
        *("sender", "headers", "body", "exchange", "routing_key", "properties", "declare", "retry_policy")
    }
    assert set(then) == {"sender", "headers", "body", "exchange", "routing_key"}
    assert about["sender"] == "signals.add"
    assert (about["headers"]["id"], about["headers"]["task"]) == (sent.id, "signals.add")
    assert about["headers"]["tenant"] == "blue"
    assert (about["body"][:2], about["routing_key"]) == (((2,), {"y": 3}), "other")


@pytest.mark.django_db(transaction=True)
def test_opt_25_26_sending_is_told_with_the_exchange_and_its_routing_key(
    listen: Callable[..., Told], settings: Any
) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": {"sums": {"exchange": "maths", "exchange_type": "fanout"}}}
    told = listen("before_task_publish", "after_task_publish", sender="signals.add")

    add.apply_async((2, 3), exchange="maths", routing_key="sum")
    add.apply_async((2, 3), routing_key="sums")

    addresses = [(name, about["exchange"], about["routing_key"]) for name, about in told]
    assert addresses == [
        ("before_task_publish", "maths", "sum"),
        ("after_task_publish", "maths", "sum"),
        ("before_task_publish", "", "sums"),
        ("after_task_publish", "", "sums"),
    ]


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_was_not_sent(listen: Callable[..., Told]) -> None:
    told = listen("before_task_publish", "after_task_publish")

    with transaction.atomic():
        add.delay(2, 3)
        transaction.set_rollback(True)

    assert [name for name, _ in told] == ["before_task_publish"]


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_in_a_transaction_is_told_after_its_commit(listen: Callable[..., Told]) -> None:
    told = listen("after_task_publish")

    with transaction.atomic():
        add.bulk([(1, 1), (2, 2)])
        inside = list(told)

    assert inside == []
    assert [about["body"][0] for _, about in told] == [(1, 1), (2, 2)]


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_written_is_not_told_of(listen: Callable[..., Told]) -> None:
    told = listen("before_task_publish", "after_task_publish")

    with pytest.raises(EncodeError):
        add.delay(object(), 1)  # type: ignore[arg-type]

    assert told == []


def test_the_names_are_celery_s() -> None:
    names = [name for name, value in vars(signals).items() if isinstance(value, TaskSignal)]

    assert all(getattr(signals, name).name == name for name in names)
    assert set(names) >= {
        *("before_task_publish", "after_task_publish", "task_received", "task_prerun", "task_postrun"),
        *("task_success", "task_failure", "task_retry", "task_revoked", "task_unknown", "task_rejected"),
        *("worker_init", "worker_ready", "worker_process_init", "worker_process_shutdown"),
        *("worker_shutting_down", "worker_shutdown"),
    }


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
