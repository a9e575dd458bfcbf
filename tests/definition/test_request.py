"""The request of a running task."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import threading
from typing import Any

import pytest

from django_tasks import Task, app, current_task, task
from django_tasks.definition.request import Context, running
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode


@task
def add(x: int, y: int) -> int:
    return x + y


def message(**fields: Any) -> TaskMessage:
    return TaskMessage(**{"id": "an-id", "task": add.name, "args": (1,), "kwargs": {"y": 2}, **fields})


def test_a_context_tells_what_the_message_says() -> None:
    """FEATURES REQ-01 REQ-02 REQ-03 REQ-04 REQ-05 REQ-06 REQ-07 REQ-08 REQ-09 REQ-11 REQ-12 REQ-14 REQ-16 REQ-17 REQ-18
    REQ-19 REQ-20 REQ-21 REQ-22 REQ-23 REQ-26."""
    context = Context.of(
        message(
            queue="mail",
            priority=3,
            retries=2,
            root_id="root",
            parent_id="parent",
            group="members",
            shadow="shown",
            origin="gen1@host",
            reply_to="answers",
            chain=({"task": "next"},),
            chord={"task": "body"},
            callbacks=({"task": "after"},),
            errbacks=({"task": "instead"},),
            time_limit=20.0,
            soft_time_limit=10.0,
            headers={"by": "me"},
            eta=dt.datetime(2030, 1, 2, tzinfo=dt.UTC),
            expires=dt.datetime(2030, 1, 3, tzinfo=dt.UTC),
        ),
        hostname="worker@host",
    )

    assert (context.id, context.correlation_id, context.task) == ("an-id", "an-id", add.name)
    assert (context.args, context.kwargs, context.retries) == ((1,), {"y": 2}, 2)
    assert (context.root_id, context.parent_id) == ("root", "parent")
    assert context.group == context.taskset == "members"
    assert (context.chain, context.chord) == (({"task": "next"},), {"task": "body"})
    assert context.callbacks == ({"task": "after"},)
    assert context.errbacks == context.errback == ({"task": "instead"},)
    assert (context.shadow, context.origin, context.reply_to) == ("shown", "gen1@host", "answers")
    assert context.timelimit == (20.0, 10.0)
    assert (context.eta, context.expires) == ("2030-01-02T00:00:00+00:00", "2030-01-03T00:00:00+00:00")
    assert (context.hostname, context.headers, context.utc) == ("worker@host", {"by": "me"}, True)
    assert (context.called_directly, context.is_eager) == (False, False)


def test_a_lone_run_of_a_plain_message_has_little_to_tell() -> None:
    """FEATURES REQ-09, REQ-21, D-RETRIES0."""
    context = Context.of(message())

    assert context.root_id == "an-id"
    nothing = [
        context.parent_id,
        context.group,
        context.chord,
        context.chain,
        context.callbacks,
        context.errbacks,
    ]
    nothing += [
        context.eta,
        context.expires,
        context.headers,
        context.shadow,
        context.reply_to,
        context.hostname,
    ]
    assert nothing == [None] * 12
    assert (context.retries, context.timelimit) == (0, (None, None))


def test_delivery_info_is_what_the_broker_said_or_what_the_message_implies() -> None:
    """FEATURES REQ-13."""
    said = Context.of(message(), delivery_info={"redelivered": True})
    implied = Context.of(message(queue="mail", priority=3))

    assert said.delivery_info == {"redelivered": True}
    assert implied.delivery_info == {
        "exchange": "",
        "routing_key": "mail",
        "priority": 3,
        "redelivered": False,
    }


def test_headers_of_the_sender_are_found_like_attributes() -> None:
    context: Any = Context.of(message(headers={"by": "me", "id": "not mine"}))

    assert context.by == context.get("by") == "me"
    assert context.get("retries") == 0
    assert context.get("nope") is None
    assert context.get("nope", 5) == 5
    assert context.id == "an-id"
    with pytest.raises(AttributeError, match="added no header of that name"):
        context.nope  # noqa: B018


def test_a_context_can_be_copied_and_printed() -> None:
    context = Context.of(message())

    assert copy.copy(context).id == "an-id"
    assert repr(context) == f"<Context: {add.name}[an-id]>"
    assert f"id {context.id}, args: {context.args!r}" == "id an-id, args: (1,)"


def test_inside_a_run_the_task_has_its_request_and_afterwards_not() -> None:
    """FEATURES OPT-31, REQ-15, REQ-29."""
    context = Context.of(message())

    with running(add, context) as entered:
        inside = add.request

    assert inside is entered is context
    assert add.request.called_directly is True
    assert add.request.id is None


def test_a_run_that_fails_is_left_all_the_same() -> None:
    with pytest.raises(LookupError), running(add, Context.of(message())):
        raise LookupError

    assert add.request.id is None


def test_each_task_sees_its_own_innermost_run() -> None:
    @task
    def other() -> Any:
        return other.request.called_directly, add.request.id, current_task.name

    with running(add, Context.of(message(id="outer"))), running(add, Context.of(message(id="inner"))):
        directly, id_of_add, current = other()

    assert (directly, id_of_add, current) == (True, "inner", other.name)


def test_a_task_that_calls_itself_directly_has_its_request_back_afterwards() -> None:
    @task(bind=True)
    def count(self: Task, down_from: int) -> list[str | None]:
        before = self.request.id
        deeper = self(down_from - 1) if down_from else []
        return [before, *deeper, self.request.id]

    with running(count, Context.of(message())):
        ids = count.run(1)

    assert ids == ["an-id", None, None, "an-id"]


def test_threads_do_not_see_each_other_s_requests() -> None:
    """FEATURES OPT-31, REQ-28."""
    both = threading.Barrier(2)
    seen: dict[str, str | None] = {}

    def work(name: str) -> None:
        with running(add, Context.of(message(id=name))):
            both.wait()
            seen[name] = add.request.id
            both.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {"one": "one", "two": "two"}


def test_coroutines_do_not_see_each_other_s_requests() -> None:
    async def work(name: str, both: asyncio.Barrier) -> str | None:
        with running(add, Context.of(message(id=name))):
            await both.wait()
            return add.request.id

    async def main() -> tuple[str | None, str | None]:
        both = asyncio.Barrier(2)
        return await asyncio.gather(work("one", both), work("two", both))

    assert tuple(asyncio.run(main())) == ("one", "two")


def test_the_current_task_stands_for_whatever_runs() -> None:
    with running(add, Context.of(message())):
        inside = (bool(current_task), current_task.name, current_task.request.id, app.current_task)

    assert inside == (True, add.name, "an-id", add)


def test_outside_of_tasks_there_is_no_current_one() -> None:
    assert not current_task
    assert app.current_task is None
    with pytest.raises(AttributeError, match="No task is running here"):
        current_task.request  # noqa: B018


@pytest.mark.django_db
def test_req_27_a_run_knows_what_it_has_sent_so_far(sent: list[TaskMessage]) -> None:
    before = add.delay(0, 0)
    with running(add, Context.of(message())):
        first = add.delay(1, 1)
        so_far = list(add.request.children)
        rest = [*add.bulk([(2, 2), (3, 3)]), app.send_task("elsewhere.add", (4, 4))]
        children = add.request.children
    with running(add, Context.of(message())):
        of_the_next_run = add.request.children

    assert so_far == [first]
    assert children == [first, *rest]
    assert before not in children
    assert of_the_next_run == []
    assert [one.id for one in sent] == [before.id, *(child.id for child in children)]


def test_req_27_what_an_inner_call_sends_is_a_child_of_the_run_around_it(sent: list[TaskMessage]) -> None:
    @task(name="tests.send_two")
    def send_two() -> None:
        add.delay(1, 1)
        add.delay(2, 2)

    with running(add, Context.of(message())):
        send_two()
        children = add.request.children

    assert [child.id for child in children] == [one.id for one in sent]


def test_req_27_what_could_not_be_sent_is_no_child() -> None:
    with running(add, Context.of(message())):
        with pytest.raises(TypeError, match="cannot be called so"):
            add.apply_async((1, 2, 3))

        assert add.request.children == []


def test_req_31_what_may_be_missing_is_asked_for_with_a_default() -> None:
    context = Context.of(message(headers={"by": "me"}))

    assert (context.get("by"), context.get("via"), context.get("via", "post")) == ("me", None, "post")
    assert context.get("retries", 7) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "retries": 2,
            "root_id": "root",
            "parent_id": "parent",
            "group": "members",
            "group_index": 3,
            "shadow": "shown",
            "reply_to": "answers",
            "chord": {"task": "body"},
            "chain": ({"task": "next"},),
            "callbacks": ({"task": "after"},),
            "errbacks": ({"task": "instead"},),
            "time_limit": 20.0,
            "soft_time_limit": 10.0,
            "replaced_task_nesting": 1,
            "expires": dt.datetime(2030, 1, 3, tzinfo=dt.UTC),
            "headers": {"by": "me", "x-death": [{"count": 1}]},
        },
    ],
)
def test_req_31_the_options_of_a_run_are_those_that_celery_finds(fields: Any) -> None:
    celery = pytest.importorskip("celery.app.task", reason="Celery is not installed: nothing to compare with")
    order = message(origin="gen1@host", **fields)
    envelope = encode(order)
    properties = {"reply_to": envelope.properties["reply_to"] or None}
    embed = {
        "chord": order.chord,
        "chain": order.chain,
        "callbacks": order.callbacks,
        "errbacks": order.errbacks,
    }

    theirs = celery.Context({**envelope.headers, **properties, **embed}).as_execution_options()

    assert Context.of(order).as_execution_options() == theirs


def test_req_31_stamps_are_options_of_their_own() -> None:
    stamped = {"stamped_headers": ["tenant"], "stamps": {"tenant": ["acme"], "other": 1}, "by": "me"}

    options = Context.of(message(headers=stamped)).as_execution_options()

    assert (options["stamped_headers"], options["tenant"]) == (["tenant"], ["acme"])
    assert options["headers"] == {"by": "me"}
    assert "other" not in options
