"""Calling a task: here, and in the background."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import socket
import uuid as uuids
from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import AsyncResult, Task, app, current_task, task
from django_tasks.definition.request import Context, running
from django_tasks.exceptions import UnknownQueue
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode


@task
def add(x: int, y: int = 2) -> int:
    return x + y


def test_a_direct_call_runs_the_body_here_and_sends_nothing(sent: list[TaskMessage]) -> None:
    """FEATURES DEF-09, CAL-04, REQ-15."""

    @task
    def look() -> Any:
        return look.request, current_task.name

    request, name = look()

    assert name == look.name
    assert request.called_directly is True
    assert request.id is None
    assert sent == []


def test_exceptions_of_a_direct_call_propagate() -> None:
    """FEATURES DEF-09."""

    @task
    def fail() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        fail()


def test_delay_sends_a_message_with_everything_a_worker_needs(sent: list[TaskMessage]) -> None:
    """FEATURES CAL-01, DEF-10."""
    result = add.delay(1, y=3)

    (message,) = sent
    assert isinstance(result, AsyncResult)
    assert uuids.UUID(message.id).version == 7
    assert message == TaskMessage(
        id=result.id,
        task=f"{__name__}.add",
        args=(1,),
        kwargs={"y": 3},
        queue="default",
        priority=0,
        serializer="json",
        ignore_result=False,
        root_id=result.id,
        origin=f"gen{os.getpid()}@{socket.gethostname()}",
        argsrepr="(1,)",
        kwargsrepr="{'y': 3}",
    )


def test_delay_is_apply_async_without_options(sent: list[TaskMessage]) -> None:
    """FEATURES CAL-01, CAL-02."""
    add.delay(1, y=3)
    add.apply_async((1,), {"y": 3})

    first, second = (encode(message) for message in sent)
    assert first.body == second.body
    assert len({message.id for message in sent}) == 2


@pytest.mark.parametrize("args", [(1, 2), [1, 2]])
def test_args_are_a_list_or_a_tuple(sent: list[TaskMessage], args: Any) -> None:
    """FEATURES CAL-02."""
    add.apply_async(args)

    assert sent[0].args == (1, 2)


def test_missing_args_and_kwargs_are_empty(sent: list[TaskMessage]) -> None:
    """FEATURES CAL-02."""

    @task
    def nothing() -> None: ...

    nothing.apply_async()

    assert (sent[0].args, sent[0].kwargs) == ((), {})


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        ((4, 6), r"\(4, 6\)"),
        ((4,), r"\(4,\)"),
        ((4, {"y": 6}), r"\(4,\)"),
        (("str",), r"\('str',\)"),
        (({1, 2},), r"\(\{1, 2\},\)"),
    ],
)
def test_args_that_are_no_sequence_are_refused_with_what_was_meant(
    sent: list[TaskMessage], call: Any, meant: str
) -> None:
    """FEATURES CAL-03, D-HELLO."""
    with pytest.raises(
        TypeError, match=rf"args must be a list or tuple; did you mean apply_async\({meant}\)\?"
    ):
        add.apply_async(*call)

    assert sent == []


@pytest.mark.parametrize("kwargs", [6, ["y"], {6: 6}])
def test_kwargs_that_are_no_mapping_of_names_are_refused(sent: list[TaskMessage], kwargs: Any) -> None:
    with pytest.raises(TypeError, match="kwargs must be a mapping with strings as keys"):
        add.apply_async((4,), kwargs)

    assert sent == []


def test_what_the_caller_changes_later_does_not_reach_the_message(sent: list[TaskMessage]) -> None:
    args, kwargs, headers = [1], {"y": 2}, {"by": "me"}
    add.apply_async(args, kwargs, headers=headers)

    args.append(9)
    kwargs["z"] = 9
    headers["by"] = "you"

    assert (sent[0].args, sent[0].kwargs, sent[0].headers) == ((1,), {"y": 2}, {"by": "me"})


def plain(a: int, /, b: int, c: int = 3, *, d: int, e: int = 5) -> None: ...


def open_ended(a: int, *rest: int, b: int = 2, **more: int) -> None: ...


def positional_only(a: int, b: int = 2, /) -> None: ...


SHAPES = pytest.mark.parametrize("function", [plain, open_ended, positional_only, add.run])
CALLS = pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1,), {}),
        ((1, 2), {}),
        ((1, 2, 3, 4, 5, 6), {}),
        ((1, 2), {"d": 4}),
        ((1, 2, 3), {"d": 4, "e": 5}),
        ((1,), {"b": 2, "d": 4}),
        ((), {"a": 1, "b": 2, "d": 4}),
        ((1, 2), {"b": 2, "d": 4}),
        ((1, 2), {"d": 4, "nope": 9}),
        ((1,), {"a": 1}),
        ((1,), {"y": 1}),
        ((1,), {"x": 1}),
        ((), {"y": 1}),
    ],
)


@SHAPES
@CALLS
def test_what_python_would_refuse_is_refused_before_it_is_sent(
    sent: list[TaskMessage], function: Callable[..., None], args: Any, kwargs: Any
) -> None:
    """FEATURES DEF-11."""
    asked: Task = task(name="asked")(function)

    expected = 0
    with contextlib.suppress(TypeError):
        function(*args, **kwargs)
        expected = 1
    with contextlib.suppress(TypeError):
        asked.apply_async(args, kwargs)

    assert len(sent) == expected


def test_the_task_itself_is_not_among_the_arguments_of_a_bound_one(sent: list[TaskMessage]) -> None:
    """FEATURES DEF-06, DEF-11."""

    @task(bind=True)
    def send(self: Task, address: str) -> None: ...

    send.delay("ada@example.org")

    assert sent[0].args == ("ada@example.org",)
    with pytest.raises(
        TypeError, match=r"missing a required argument: 'address'. Its arguments are \(address: "
    ):
        send.apply_async()


def test_the_arguments_of_a_class_are_those_of_run(sent: list[TaskMessage]) -> None:
    class Send(Task):
        def run(self, address: str) -> None: ...

    Send().delay("ada@example.org")

    with pytest.raises(TypeError, match="too many positional"):
        Send().delay("ada@example.org", "eve@example.org")
    assert len(sent) == 1


def test_arguments_that_a_decorator_adds_are_not_missed(sent: list[TaskMessage]) -> None:
    def with_connection(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function("connection", *args, **kwargs)

        return wrapper

    @task
    @with_connection
    def fetch(connection: str, url: str) -> None: ...

    fetch.delay("https://example.org")

    assert len(sent) == 1


def test_typing_false_sends_whatever_is_given(sent: list[TaskMessage]) -> None:
    """FEATURES DEF-11."""

    @task(typing=False)
    def one(x: int) -> None: ...

    one.apply_async((1, 2, 3), {"z": 4})

    assert sent[0].args == (1, 2, 3)


def test_secrets_are_not_shown_wherever_they_stand(sent: list[TaskMessage]) -> None:
    @task(redact=["card"])
    def pay(user: str, password: str, card_number: str, note: str = "") -> None: ...

    pay.delay("ada", "open sesame", card_number="4111", note="thanks")
    pay.delay("ada", "open sesame", "4111")

    assert [message.argsrepr for message in sent] == [
        "('ada', '********')",
        "('ada', '********', '********')",
    ]
    assert sent[0].kwargsrepr == "{'card_number': '********', 'note': 'thanks'}"
    assert sent[1].args == ("ada", "open sesame", "4111")


def test_secrets_below_a_decorator_are_not_shown(sent: list[TaskMessage]) -> None:
    def plainly(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda *args, **kwargs: function(*args, **kwargs))

    @task(bind=True)
    @plainly
    def login(self: Task, user: str, token: str) -> None: ...

    login.delay("ada", "open sesame")

    assert sent[0].argsrepr == "('ada', '********')"


def test_an_unknown_queue_is_refused(sent: list[TaskMessage]) -> None:
    @task(queue="nowhere")
    def send() -> None: ...

    with pytest.raises(UnknownQueue, match="nowhere"):
        send.delay()
    assert sent == []


def test_what_is_sent_inside_a_run_knows_its_parent_and_its_root(sent: list[TaskMessage]) -> None:
    """FEATURES REQ-21, REQ-22."""
    outer = Context.of(TaskMessage(id="child", task="x", root_id="root"))

    with running(add, outer):
        add.delay(1)
    add.delay(1)

    assert (sent[0].parent_id, sent[0].root_id) == ("child", "root")
    assert (sent[1].parent_id, sent[1].root_id) == (None, sent[1].id)


def test_a_direct_call_is_no_parent_but_the_run_around_it_is(sent: list[TaskMessage]) -> None:
    @task
    def step() -> None:
        add.delay(1)

    with running(add, Context.of(TaskMessage(id="run", task="x"))):
        step()

    assert (sent[0].parent_id, sent[0].root_id) == ("run", "run")


def test_send_task_needs_a_name_only(sent: list[TaskMessage]) -> None:
    """FEATURES CAL-07."""
    result = app.send_task("elsewhere.tasks.scale", ["cat.png"], {"width": 80}, countdown=60, priority=3)

    (message,) = sent
    assert (message.task, message.args, message.kwargs) == (
        "elsewhere.tasks.scale",
        ("cat.png",),
        {"width": 80},
    )
    assert (message.id, message.priority, message.ignore_result) == (result.id, 3, False)
    assert message.eta is not None


def test_send_task_takes_no_task(sent: list[TaskMessage]) -> None:
    with pytest.raises(TypeError, match="apply_async"):
        app.send_task(add)  # type: ignore[arg-type]
    assert sent == []


def test_a_call_that_fails_while_it_is_sent_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(messages: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("django_tasks.definition.order.send", refuse)

    with pytest.raises(ConnectionError):
        add.delay(1)


def test_the_handle_of_an_earlier_run_is_made_from_its_id() -> None:
    """FEATURES RES-01."""
    assert add.AsyncResult("some-id") == app.AsyncResult("some-id") == AsyncResult("some-id")


def test_moments_are_in_utc(sent: list[TaskMessage]) -> None:
    """FEATURES EXE-02."""
    berlin = dt.timezone(dt.timedelta(hours=2))

    add.apply_async((1,), eta=dt.datetime(2030, 6, 1, 12, tzinfo=berlin))

    assert sent[0].eta == dt.datetime(2030, 6, 1, 10, tzinfo=dt.UTC)
    assert sent[0].eta.tzinfo is dt.UTC
