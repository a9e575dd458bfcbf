"""The one shape in which workflows are sent: it means the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from django_tasks import Signature, chain, chord, chunks, group, signature, task, xmap, xstarmap
from django_tasks.canvas.normal import normal
from tests.canvas.workflows import NOTHING, WORKFLOWS, is_normal, result


def s(name: str, *args: Any, **options: Any) -> Signature:
    return Signature(f"forge.tasks.{name}", args, options=options)


@given(WORKFLOWS)
def test_can_05_the_normal_shape_gives_the_same_result(sig: Signature) -> None:
    """FEATURES CAN-05, CAN-08, CAN-11: the rewriting is invisible to whoever waits for the result."""
    expected = result(sig)

    made = normal(sig)

    assert is_normal(made)
    assert (result(made) == expected) or (expected is NOTHING and made == group())


@given(WORKFLOWS)
def test_can_04_arguments_given_to_the_whole_reach_its_first_tasks(sig: Signature) -> None:
    expected = result(sig, (7,))

    made = normal(sig.clone((7,)))

    assert (result(made) == expected) or (expected is NOTHING and not made.parts())


@given(WORKFLOWS)
def test_normal_is_idempotent_and_leaves_its_argument_alone(sig: Signature) -> None:
    before = copy.deepcopy(sig)

    once = normal(sig)

    assert normal(once) == once
    assert sig == before


@pytest.mark.parametrize(
    ("sig", "expected"),
    [
        (chain.of([]), group()),
        (chain.of([s("a")]), s("a")),
        (chain.of([chain.of([s("a"), s("b")]), s("c")]), chain(s("a"), s("b"), s("c"))),
        (chain.of([s("a"), group(), s("b")]), chain(s("a"), s("b"))),
        (chain.of([group(s("a"), s("b")), s("c"), s("d")]), chord([s("a"), s("b")], chain(s("c"), s("d")))),
        (chain.of([chord([s("a")], s("b")), s("c")]), chord([s("a")], chain(s("b"), s("c")))),
        (group(group(s("a"), group(s("b"))), chain.of([])), group(s("a"), s("b"))),
        (chord([], s("a", 1)), s("a", [], 1).set(immutable=True)),
        (chord([group()], chain(s("a"), s("b"))), chain(s("a", []).set(immutable=True), s("b"))),
        (
            chunks(s("a"), [(1, 1), (2, 2), (3, 3)], 2),
            group(xstarmap(s("a"), [(1, 1), (2, 2)]), xstarmap(s("a"), [(3, 3)])),
        ),
    ],
)
def test_can_06_there_is_one_way_to_write_it(sig: Signature, expected: Signature) -> None:
    assert normal(sig) == expected


def test_can_08_a_member_that_ends_in_a_group_gets_one_task_at_its_end() -> None:
    made = normal(group(chain(s("a"), group(s("b"), s("c"))), s("d")))

    member = made.parts()[0].parts()[1]
    assert isinstance(member, chord)
    assert member.body == Signature("celery.accumulate", kwargs={"index": 0})


@pytest.mark.parametrize("made", [xmap, xstarmap, lambda task, it: chunks(task, it, 9).group().tasks[0]])
def test_a_map_goes_where_its_task_would_go_unless_it_is_told_where(made: Any) -> None:
    @task(name="forge.tasks.mailing", queue="mail")
    def mailing(*_: Any) -> None: ...

    def queue(sig: Signature) -> Any:
        return normal(sig).options.get("queue")

    assert queue(made(mailing, [(1,)])) == queue(made("forge.tasks.mailing", [(1,)])) == "mail"
    assert queue(made(mailing, [(1,)]).set(queue="own")) == "own"
    assert queue(chain(s("a"), made(mailing, [(1,)])).tasks[1]) == "mail"
    assert queue(made("forge.tasks.nowhere", [(1,)])) is None
    assert normal(Signature.from_dict({"task": "celery.map"})).options == {}


def test_what_is_said_of_a_chain_goes_to_the_tasks_it_is_meant_for() -> None:
    sig = chain(s("a", 2), s("b"), s("c"), task_id="id", link=s("after"), link_error=s("oops"), countdown=3)

    first, second, third = normal(sig.clone((1,), {"x": 1})).parts()

    assert (first.args, first.kwargs, first.options) == (
        (1, 2),
        {"x": 1},
        {"countdown": 3, "link_error": [s("oops")]},
    )
    assert second.options == {"link_error": [s("oops")]}
    assert third.options == {"link_error": [s("oops")], "task_id": "id", "link": [s("after")]}


def test_what_is_said_of_a_group_is_said_of_each_member_but_for_its_id() -> None:
    made = normal(group(s("a"), s("b", queue="own"), task_id="id", queue="bulk", link_error=s("oops")))

    assert made.options == {"task_id": "id"}
    assert [member.options for member in made.parts()] == [{"queue": "bulk", "link_error": [s("oops")]}] * 2


def test_what_is_said_of_a_chord_begins_its_header_and_ends_its_body() -> None:
    sig = chord([s("a")], chain(s("b"), s("c")), task_id="id", queue="bulk", countdown=3)

    header, body = normal(sig).parts()

    assert header.options == {"queue": "bulk", "countdown": 3}
    assert [step.options for step in body.parts()] == [{"queue": "bulk"}, {"task_id": "id"}]


def test_what_was_said_of_a_part_is_not_lost_when_it_is_composed() -> None:
    inner = chain(s("a"), s("b"), countdown=3, task_id="id").clone((1,), {"x": 2})
    members = group(s("a"), s("b"), queue="bulk", task_id="id").clone((1,))

    first, second, third = (inner | s("c")).parts()
    in_header = (members | s("c")).parts()[:2]
    in_group = group(members).parts()

    assert (first.args, first.kwargs, first.options) == ((1,), {"x": 2}, {"countdown": 3})
    assert (second.options, third.options) == ({"task_id": "id"}, {})
    assert in_header == in_group == [s(name, 1, queue="bulk") for name in "ab"]


def test_ids_that_were_given_stay() -> None:
    frozen = chord([s("a", task_id="1")], s("b", task_id="2"), task_id="header")

    assert normal(frozen) == frozen
    assert normal(chain.of([group(s("a"), s("c"), task_id="header"), s("b", task_id="2")])).id == "header"


def test_an_immutable_chain_ignores_what_comes_before_it() -> None:
    inner = chain.of([s("b", 1), s("c")])
    inner.set(immutable=True)

    _, second, third = normal(chain.of([s("a"), inner])).parts()

    assert second.immutable
    assert not third.immutable


def test_keys_of_a_newer_protocol_are_kept() -> None:
    written = {**chord([{**s("a"), "newer": 1}], s("b")), "newer": 2}

    made = normal(signature(written))

    assert (made["newer"], made.parts()[0]["newer"]) == (2, 1)


def test_a_long_chain_behind_a_group_is_one_body() -> None:
    sig = chain(group(s("a"), s("b")), *(s("c", i) for i in range(300)))

    body = normal(sig).parts()[-1]

    assert len(body.parts()) == 300


def test_a_chord_without_a_body_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"Give it a body: chord\(header\)\(body\)"):
        normal(chain.of([s("a"), chord([s("b")])]))
