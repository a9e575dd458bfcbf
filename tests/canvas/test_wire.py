"""The messages that we send for an expression, beside those that Celery sends for it: header by header, key by key."""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import django_tasks
from django_tasks.models import QueuedMessage

celery = pytest.importorskip("celery")
pytestmark = pytest.mark.django_db

Expression = Callable[[Any], Any]
Message = dict[str, Any]

TYPES = ("chain", "chord", "group", "signature")
TASKS = ("add", "mul", "oops")


def _anything(*args: Any, **kwargs: Any) -> None: ...


@pytest.fixture
def celerys() -> Iterator[SimpleNamespace]:
    app = celery.Celery("peer", broker="django://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = app.conf.task_default_routing_key = "default"
    tasks = {name: app.task(name=f"peer.tasks.{name}")(_anything) for name in TASKS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Celery's, about a setting of its own
        yield SimpleNamespace(**tasks, **{name: getattr(celery, name) for name in TYPES})


@pytest.fixture
def ours() -> SimpleNamespace:
    tasks = {name: django_tasks.task(name=f"peer.tasks.{name}")(_anything) for name in TASKS}
    return SimpleNamespace(**tasks, **{name: getattr(django_tasks, name) for name in TYPES})


#: Expressions that are the same on the wire but for what `DIFFERENT` says.
SAME: dict[str, Expression] = {
    "task": lambda c: c.add.s(1, 2),
    "task with headers": lambda c: c.add.s(1, 2).set(headers={"trace": "me"}, priority=3),
    "task for another queue": lambda c: c.add.s(1, 2).set(queue="other"),
    "task without result": lambda c: c.add.s(1, 2).set(ignore_result=True),
    "task with time limits": lambda c: c.add.s(1, 2).set(time_limit=9, soft_time_limit=8),
    "link, link_error": lambda c: c.add.s(1, 2).set(link=[c.mul.s(3)], link_error=[c.oops.si(1)]),
    "link of a link": lambda c: c.add.s(1, 2).set(link=[c.mul.s(3).set(link=[c.mul.s(4)])]),
    "link to a group": lambda c: c.add.s(1, 2).set(link=[c.group([c.mul.s(3), c.mul.s(4)])]),
    "link to a chain": lambda c: c.add.s(1, 2).set(link=[c.mul.s(3) | c.mul.s(4)]),
    "chain": lambda c: c.add.s(1, 2) | c.add.s(3) | c.mul.s(4),
    "chain with an immutable step": lambda c: c.add.s(1, 2) | c.add.si(3, 4),
    "chain with links in it": lambda c: (
        c.add.s(1, 2).set(link=[c.mul.s(3)]) | c.add.s(4).set(link_error=[c.oops.s()])
    ),
    "chain with options on its steps": lambda c: (
        c.add.s(1, 2).set(priority=3) | c.add.s(3).set(queue="other", countdown=5, expires=7, priority=1)
    ),
    "chain with a link_error": lambda c: (c.add.s(1, 2) | c.add.s(3)).on_error(c.oops.s()),
    "chain with a map": lambda c: c.add.s(1, 2) | c.add.map([1, 2]),
    "chain that ends in a group": lambda c: c.add.s(1, 2) | c.group([c.add.s(3), c.add.s(4)]),
    "chain that ends in a chord": lambda c: c.add.s(1, 2) | c.group([c.add.s(3), c.add.s(4)]) | c.mul.s(5),
    "map": lambda c: c.add.map([1, 2]),
    "starmap": lambda c: c.add.starmap([(1, 2), (3, 4)]),
    "chunks": lambda c: c.add.chunks([(1, 2), (3, 4), (5, 6)], 2).group(),
    "group": lambda c: c.group([c.add.s(1, 2), c.add.s(3, 4)]),
    "group with options": lambda c: c.group([c.add.s(1, 2), c.add.s(3, 4)]).set(queue="other", priority=2),
    "group of chains": lambda c: c.group([c.add.s(1, 2) | c.add.s(3), c.add.s(4, 4)]),
    "chord": lambda c: c.chord([c.add.s(1, 2), c.add.s(3, 4)], c.mul.s(5)),
    "chord with links": lambda c: c.chord(
        [c.add.s(1, 2)], c.mul.s(5).set(link=[c.add.s(6)], link_error=[c.oops.s()])
    ),
    "chord of chains": lambda c: c.chord([c.add.s(1, 2) | c.add.s(3), c.add.s(4, 4)], c.mul.s(5)),
    "chord and more steps": lambda c: (
        c.chord([c.add.s(1, 2), c.add.s(3, 4)], c.mul.s(5)) | c.add.s(6) | c.add.s(7)
    ),
    "chord in a chord": lambda c: c.chord(
        [c.chord([c.add.s(1, 2), c.add.s(3, 3)], c.mul.s(3)), c.add.s(4, 4)], c.mul.s(5)
    ),
    "chord as a body": lambda c: c.chord(
        [c.add.s(1, 2), c.add.s(3, 3)], c.chord([c.add.s(1), c.add.s(2)], c.mul.s(5))
    ),
}

#: Where we differ on purpose, and why.
DIFFERENT: dict[str, str] = {
    "reply_to": "There is no queue for replies: results are asked for in the database.",
    "group_id of a body": "Celery writes there which header it waits for; the group's row knows that. A task that "
    "has a group_id counts for that group.",
    "group_index of what waits": "It is given to the members of a group when they are sent, by whoever sends them.",
    "ids that are null": "Whoever sends a signature says who its parent and its root are.",
    "add_to_parent": "Of use only to the function of Celery that has written it.",
    "ignore_result of what counts": "What a group waits for must have a result, whatever its task says by itself.",
    "task_id of a chain": "A chain has no id of its own, only its last step has one.",
    "kwargsrepr": "It is for people, who see there that a value is a signature.",
    "header as a group": "The header of a chord is a list of members, as it was before Celery has frozen it.",
}


@pytest.mark.parametrize("name", SAME)
def test_the_messages_are_those_of_celery(name: str, ours: SimpleNamespace, celerys: SimpleNamespace) -> None:
    """CAN-05, CAN-08, CAN-11, CAN-14: all that `DIFFERENT` does not name."""
    assert with_short_ids(sent(SAME[name], ours)) == with_short_ids(sent(SAME[name], celerys))


@pytest.mark.parametrize("difference", DIFFERENT)
def test_each_difference_is_one(difference: str, ours: SimpleNamespace, celerys: SimpleNamespace) -> None:
    """What `DIFFERENT` lists and no longer differs is to be taken out of it."""
    but = set(DIFFERENT) - {difference}

    assert any(
        with_short_ids(sent(expression, ours, but)) != with_short_ids(sent(expression, celerys, but))
        for expression in SAME.values()
    )


def test_what_follows_a_chord_travels_in_its_body(ours: SimpleNamespace, celerys: SimpleNamespace) -> None:
    """With Celery, the chord is a step among others. Here no task has both a chord and a chain to care for."""

    def stepwise(c: Any) -> Any:
        return c.add.s(1, 2) | c.group([c.add.s(3), c.add.s(4)]) | c.mul.s(5) | c.mul.s(6)

    (first,) = sent(stepwise, ours)
    (theirs,) = sent(stepwise, celerys)

    (step,) = first["body"][2]["chain"]
    after, their_step = theirs["body"][2]["chain"]
    assert step["kwargs"]["header"] == any_ids(step["kwargs"]["header"], their_step["kwargs"]["header"])
    assert [one["args"] for one in step["kwargs"]["body"]["kwargs"]["tasks"]] == [
        their_step["kwargs"]["body"]["args"],
        after["args"],
    ]


def test_a_member_that_ends_in_a_group_is_closed(ours: SimpleNamespace, celerys: SimpleNamespace) -> None:
    """With Celery it has no task that bears its result, and the tasks of both groups count for the outer one."""

    def nested(c: Any) -> Any:
        return c.group([c.add.s(1, 2) | c.group([c.add.s(3), c.add.s(4)]), c.add.s(5, 6)])

    (step,) = sent(nested, ours)[0]["body"][2]["chain"]
    (theirs,) = sent(nested, celerys)[0]["body"][2]["chain"]

    assert (step["task"], theirs["task"]) == ("celery.chord", "celery.group")
    assert step["kwargs"]["body"]["task"] == "celery.accumulate"
    assert step["kwargs"]["header"] == any_ids(
        step["kwargs"]["header"], [dropped_membership(one) for one in theirs["kwargs"]["tasks"]]
    )


def test_the_members_of_a_group_in_a_group_are_numbered_one_by_one(
    ours: SimpleNamespace, celerys: SimpleNamespace
) -> None:
    """Celery gives the same number twice, so that the order of the results depends on who comes first."""

    def nested(c: Any) -> Any:
        return c.group([c.group([c.add.s(1, 2), c.add.s(3, 4)]), c.add.s(5, 6)])

    def numbers(c: Any) -> list[int]:
        return [message["headers"]["group_index"] for message in sent(nested, c)]

    assert (numbers(ours), numbers(celerys)) == ([0, 1, 2], [0, 1, 1])


# -- what was sent, and how it is compared


def sent(expression: Expression, by: Any, but: set[str] | None = None) -> list[Message]:
    """The messages that an expression makes, without those differences."""
    expression(by).apply_async()
    messages = [_read(row) for row in QueuedMessage.objects.order_by("pk")]
    QueuedMessage.objects.all().delete()
    but = set(DIFFERENT) if but is None else but
    for message in messages:
        embed = message["body"][2]
        embed.update({key: _travelling(value, but) for key, value in embed.items()})
        _drop(message["properties"], "reply_to" in but, "reply_to")
        _drop(message["headers"], "kwargsrepr" in but, "kwargsrepr")
    return messages


def _read(row: QueuedMessage) -> Message:
    payload = json.loads(row.payload)
    body = payload["body"]
    if payload["properties"]["body_encoding"] == "base64":
        body = base64.b64decode(body)
    properties = {
        key: value
        for key, value in payload["properties"].items()
        if key not in ("body_encoding", "delivery_tag")
    }
    return {"headers": payload["headers"], "properties": properties, "body": json.loads(body)}


def _travelling(value: Any, but: set[str]) -> Any:
    """Signatures that travel in a message, without those differences."""
    if isinstance(value, list):
        return [_travelling(one, but) for one in value]
    if not isinstance(value, dict):
        return value
    if "header as a group" in but and value.get("subtask_type") == "chord":
        value = {**value, "kwargs": {**value["kwargs"], "header": _members(value["kwargs"]["header"])}}
    made = {key: _travelling(one, but) for key, one in value.items()}
    if isinstance(options := made.get("options"), dict):
        counts = "chord" in options or ("group_id" in options and "group_index" in options)
        _drop(options, "reply_to" in but, "reply_to")
        _drop(options, "add_to_parent" in but, "add_to_parent")
        _drop(options, "group_id of a body" in but and not counts, "group_id")
        _drop(options, "group_index of what waits" in but and not counts, "group_index")
        _drop(options, "ignore_result of what counts" in but and counts, "ignore_result")
        _drop(options, "task_id of a chain" in but and made["subtask_type"] == "chain", "task_id")
        for key in ("root_id", "parent_id"):
            _drop(options, "ids that are null" in but and options.get(key) is None, key)
    return made


def _members(header: Any) -> Any:
    return header["kwargs"]["tasks"] if isinstance(header, dict) else header


def _drop(options: dict[str, Any], is_different: bool, key: str) -> None:
    if is_different:
        options.pop(key, None)


def dropped_membership(sig: Message) -> Message:
    options = {key: value for key, value in sig["options"].items() if key not in ("group_id", "group_index")}
    return {**sig, "options": options}


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def with_short_ids(value: Any) -> list[str]:
    """As lines of JSON with numbers in place of ids: the same id, the same number."""
    numbers: dict[str, str] = {}
    text = json.dumps(value, sort_keys=True, indent=1)
    return UUID.sub(lambda id: numbers.setdefault(id[0], f"id {len(numbers)}"), text).splitlines()


def any_ids(of: Any, value: Any) -> Any:
    """`value` with the ids of `of`, in the order in which they stand."""
    ids = iter(UUID.findall(json.dumps(of, sort_keys=True)))
    return json.loads(UUID.sub(lambda _: next(ids), json.dumps(value, sort_keys=True)))
