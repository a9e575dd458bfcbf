"""One signature: what it holds, and what it hands on when it is sent."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from hypothesis import given
from hypothesis import strategies as st

from django_tasks import (
    Signature,
    TaskSet,
    app,
    chain,
    chord,
    group,
    maybe_signature,
    signature,
    subtask,
    task,
)
from django_tasks.canvas import signature as module
from django_tasks.message import serialization
from tests.canvas.workflows import WORKFLOWS, every


@task(name="forge.tasks.add")
def add(x: int, y: int = 0) -> int:
    return x + y


@task(name="forge.tasks.mul")
def mul(x: int, y: int) -> int:
    return x * y


def read(written: serialization.Written, accept: str = "json") -> Any:
    return serialization.loads(
        written.body,
        content_type=written.content_type,
        content_encoding=written.content_encoding,
        accept=[accept],
    )


def test_can_01_the_methods_of_a_task_make_dicts_with_celerys_keys() -> None:
    """FEATURES CAN-01."""
    assert add.s(2, y=3) == {
        "task": "forge.tasks.add",
        "args": (2,),
        "kwargs": {"y": 3},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    assert add.si(2) == add.signature((2,), immutable=True)
    assert add.signature((2,), {"y": 3}, countdown=10).options == {"countdown": 10}
    assert app.signature("forge.tasks.add", (2,)) == add.s(2)


def test_can_02_a_dict_that_came_as_json_is_a_signature_again(sent: list[Any]) -> None:
    """FEATURES CAN-02, CAN-04."""
    arrived = read(serialization.dumps(add.subtask((2,))))

    assert subtask(arrived).delay(4) == "handle"

    ((sig, args, kwargs, options),) = sent
    assert sig.clone(args, kwargs, **options).args == (4, 2)


def test_can_03_other_keywords_of_subtask_are_arguments_of_the_task() -> None:
    """FEATURES CAN-03, D-SUBTASK."""
    store = subtask(mul)

    sig = subtask(add, (1,), callback=store, countdown=10, queue="sums", link=store)

    assert sig.kwargs == {"callback": store}
    assert sig.options == {"countdown": 10, "queue": "sums", "link": store}
    assert add.subtask((1,), callback=store).kwargs == {"callback": store}
    assert signature(add, (1,), callback=store).options == {"callback": store}


def test_can_04_partial_arguments_go_before_and_an_immutable_one_ignores_them() -> None:
    """FEATURES CAN-04."""
    assert add.s(16).clone((4,), {"y": 1}) == add.s(4, 16, y=1)
    assert add.si(16).clone((4,), {"y": 1}, queue="sums") == add.si(16).set(queue="sums")
    assert mul.s(3)(4) == 12
    assert add.si(3)(4) == 3


@pytest.mark.parametrize("call", ["delay", "apply_async", "adelay", "aapply_async", "run"])
def test_every_way_to_send_hands_on_the_same(
    sent: list[Any], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(module, "run", module.send)
    sig = add.s(2)
    ways: dict[str, Any] = {
        "delay": lambda: sig.delay(1, y=3),
        "apply_async": lambda: sig.apply_async((1,), {"y": 3}, countdown=None),
        "adelay": lambda: async_to_sync(sig.adelay)(1, y=3),
        "aapply_async": lambda: async_to_sync(sig.aapply_async)([1], {"y": 3}),
        "run": lambda: sig.apply([1], {"y": 3}),
    }

    assert ways[call]() == "handle"

    assert sent == [(sig, (1,), {"y": 3}, {})]


def test_composed_signatures_are_sent_by_calling_them(sent: list[Any]) -> None:
    """FEATURES CAN-05, CAN-08, CAN-10, CAN-11."""
    steps, members, whole = chain(add.s(1), add.s(2)), group(add.s(1)), chord([add.s(1)])

    steps(5)
    members(5, queue="sums")
    whole(mul.s(2), countdown=3)
    TaskSet(tasks=[add.subtask((1,))]).apply_async()

    assert sent == [
        (steps, (5,), {}, {}),
        (members, (5,), {}, {"queue": "sums"}),
        (chord([add.s(1)], mul.s(2)), (), {}, {"countdown": 3}),
        (members, (), {}, {}),
    ]
    assert whole.body is None


def test_freezing_is_asked_for_with_celerys_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "freeze", lambda sig, **how: asked.append((sig, how)))

    add.s(1).freeze("id", root_id="root")

    ((_, how),) = asked
    assert how == {
        "_id": "id",
        "group_id": None,
        "chord": None,
        "root_id": "root",
        "parent_id": None,
        "group_index": None,
    }


def test_inverting_waits_for_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    class Handle:
        def get(self) -> int:
            return 4

    monkeypatch.setattr(module, "send", lambda *call: Handle())

    assert ~add.s(2, 2) == 4


def test_links_are_found_again_and_kept_once() -> None:
    sig = add.s(1)

    assert sig.link(mul.s(2)) == mul.s(2)
    sig.link(mul.s(2))
    sig.options["link"][0].link(mul.s(3))

    assert sig.flatten_links() == [sig, sig.options["link"][0], mul.s(3)]
    assert sig.on_error(mul.s(9)) is sig
    assert sig.options["link_error"] == [mul.s(9)]


def test_keys_of_a_newer_protocol_are_kept() -> None:
    written = {**add.s(1), "newer": {"x": 1}}

    assert signature(written)["newer"] == {"x": 1}
    assert signature(written).clone((2,)).set(queue="sums")["newer"] == {"x": 1}
    assert signature({"task": "forge.tasks.add"}) == add.s()


def test_what_is_no_signature_is_made_one_or_none() -> None:
    sig = add.s(1)

    assert maybe_signature(None) is None
    assert maybe_signature(sig) is sig
    assert maybe_signature(sig, clone=True) is not sig
    assert isinstance(maybe_signature(dict(sig)), Signature)


@given(WORKFLOWS)
def test_can_02_a_workflow_survives_the_serializer(sig: Signature) -> None:
    sig.set(link=add.s(1), link_error=[add.s(2).set(link=add.s(3))])

    arrived = signature(read(serialization.dumps(sig)))

    assert _untupled(arrived) == _untupled(sig)
    classes: list[list[type]] = [[], []]
    every(sig, lambda found: classes[0].append(type(found)))
    every(arrived, lambda found: classes[1].append(type(found)))
    assert classes[0] == classes[1]


def _untupled(value: Any) -> Any:
    """JSON has no tuples, so items of a map that were some come as lists."""
    if isinstance(value, dict):
        return {key: _untupled(inner) for key, inner in value.items()}
    return [_untupled(inner) for inner in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("serializer", ["json", "msgpack", "pickle", "yaml"])
def test_a_group_keeps_all_its_keys_in_every_serializer(serializer: str) -> None:
    sig = chain(add.s(1), group(add.s(2), add.s(3)))

    arrived = read(serialization.dumps(({"call": [sig]},), serializer), serializer)

    assert signature(arrived[0]["call"][0]) == sig


@given(
    WORKFLOWS,
    st.sampled_from([Signature.clone, copy.copy, copy.deepcopy, lambda sig: pickle.loads(pickle.dumps(sig))]),
)
def test_a_copy_is_equal_and_of_the_same_class(sig: Signature, copied: Any) -> None:
    made = copied(sig)

    assert made == sig
    assert type(made) is type(sig)
    assert made is not sig


@given(WORKFLOWS)
def test_a_clone_is_independent(sig: Signature) -> None:
    sig.set(link=[add.s(1)], headers={"x": [1]})
    before = pickle.dumps(sig)
    made = sig.clone()

    every(made, _scribble)

    assert pickle.dumps(sig) == before


def _scribble(sig: Signature) -> None:
    sig.args = (*sig.args, "scribbled")
    sig.kwargs["scribbled"] = True
    sig.options.setdefault("headers", {})["x"] = "scribbled"
    sig.immutable = not sig.immutable


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: chain(add(2, 2), add.s(2)), r"chain takes signatures, not 4\. Write task\.s\(\.\.\.\)"),
        (
            lambda: chain(add, add.s(2)),
            r"not the task forge\.tasks\.add\. Write add\.s\(\.\.\.\) in its place",
        ),
        (lambda: group([add.s(1), add]), r"group takes signatures, not the task"),
        (lambda: group(4), r"group takes signatures, not 4"),
        (lambda: chord([add.s(1)], mul), r"chord takes signatures, not the task forge\.tasks\.mul"),
        (lambda: chord([4], mul.s(1)), r"chord takes signatures, not 4"),
        (lambda: add.s(1) | mul, r"\| takes signatures, not the task"),
        (lambda: add.s(1).link(4), r"link takes signatures, not 4"),
        (lambda: add.s(1) | {"x": 1}, r"\| takes signatures"),
        (lambda: Signature(None), r"of a task or the name of one, not None"),
        (lambda: Signature("add", 4), r"did you mean \(4,\)\?"),
        (lambda: add.s(1).apply_async(4), r"did you mean \(4,\)\?"),
        (lambda: group(add.s(1)).apply_async(link=add.s(2)), r"Make it a chord"),
        (lambda: chain(add.s(1)).clone((), {"tasks": 4}), r"'tasks' is what a chain is made of.*first task"),
        (lambda: chord([add.s(1)])(), r"Give it a body"),
        (lambda: chord([add.s(1)]) | add.s(2), r"Give it a body"),
        (lambda: chord([add.s(1)]).link(add.s(2)), r"Give it a body"),
    ],
)
def test_what_is_written_wrong_is_said_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: add.chunks([1], 0), r"1 or more items, not 0"),
        (lambda: group().link(add.s(1)), r"empty group has nothing to link to"),
    ],
)
def test_values_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
