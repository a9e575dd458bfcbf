"""The same expressions, written for Celery and for us, are the same on the wire."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import django_tasks

celery = pytest.importorskip("celery")

Expression = Callable[[Any], Any]


def _celerys() -> SimpleNamespace:
    app = celery.Celery("peer", broker="memory://", set_as_current=False)
    tasks = {name: app.task(name=f"peer.tasks.{name}")(_anything) for name in ("add", "mul", "oops")}
    return SimpleNamespace(
        **tasks,
        **{
            name: getattr(celery, name)
            for name in ("chain", "chord", "chunks", "group", "signature", "xmap", "xstarmap")
        },
    )


def _ours() -> SimpleNamespace:
    tasks = {name: django_tasks.task(name=f"peer.tasks.{name}")(_anything) for name in ("add", "mul", "oops")}
    return SimpleNamespace(
        **tasks,
        **{
            name: getattr(django_tasks, name)
            for name in ("chain", "chord", "chunks", "group", "signature", "xmap", "xstarmap")
        },
    )


def _anything(*args: Any, **kwargs: Any) -> None: ...


def _linked(sig: Any, method: str, *others: Any) -> Any:
    for other in others:
        getattr(sig, method)(other)
    return sig


TASKS: dict[str, Expression] = {
    "partial": lambda c: c.add.s(2, y=3),
    "no arguments": lambda c: c.add.s(),
    "immutable": lambda c: c.add.si(2),
    "with options": lambda c: c.add.signature((2, 2), {"z": 1}, countdown=10),
    "options as a dict": lambda c: c.add.signature((2,), options={"queue": "sums"}, immutable=True),
    "by name": lambda c: c.signature("peer.tasks.other", args=(1,), kwargs={"x": 1}, expires=3),
    "of a dict": lambda c: c.signature(dict(c.add.s(1))),
    "of a signature": lambda c: c.signature(c.add.s(1)),
    "set": lambda c: c.add.s(2).set(queue="sums", countdown=3),
    "set immutable": lambda c: c.add.s(2).set(immutable=True, priority=3),
    "link": lambda c: _linked(c.add.s(2), "link", c.mul.s(4), c.mul.s(5), c.mul.s(4)),
    "link_error": lambda c: _linked(c.add.s(2), "link_error", c.oops.s()),
    "on_error": lambda c: c.add.s(2).on_error(c.oops.s()).on_error(c.oops.s(1)),
    "link as an option": lambda c: _linked(c.add.s(2).set(link=c.mul.s(1)), "link", c.mul.s(2)),
    "extend_list_option": lambda c: _linked_list(c.add.s(2), c.mul.s(1), c.mul.s(2)),
    "clone": lambda c: c.add.s(2, x=1).set(queue="a").clone((1,), {"x": 2}, queue="b"),
    "clone of an immutable": lambda c: c.add.si(2).clone((1,), {"x": 2}, queue="b"),
    "clone of a member": lambda c: c.add.s(2).set(group_id="one").clone(group_id="two"),
    "clone with links": lambda c: _linked(c.add.s(2), "link", c.mul.s(4)).clone((1,)),
    "replace": lambda c: c.add.s(2, x=1).set(queue="a").replace(args=(3,), options={"queue": "b"}),
    "map": lambda c: c.add.map([1, 2]),
    "starmap": lambda c: c.add.starmap([(1, 2), (3, 4)]),
    "chunks": lambda c: c.add.chunks([(1, 2), (3, 4), (5, 6)], 2),
    "chunks of a generator": lambda c: c.add.chunks(((i, i) for i in range(3)), 2),
    "chunks as a group": lambda c: c.add.chunks([(1, 2), (3, 4), (5, 6)], 2).group(),
    "map with an option": lambda c: c.add.map([1]).set(queue="sums"),
    "clone of a map": lambda c: c.add.map([1, 2]).clone((3,)),
}

COMPOSED: dict[str, Expression] = {
    "task | task": lambda c: c.add.s(1) | c.add.s(2),
    "task | task | task": lambda c: c.add.s(1) | c.add.s(2) | c.mul.s(3),
    "task | chain": lambda c: c.add.s(1) | (c.add.s(2) | c.mul.s(3)),
    "chain | chain": lambda c: (c.add.s(1) | c.add.s(2)) | (c.mul.s(3) | c.mul.s(4)),
    "task | group": lambda c: c.add.s(1) | c.group(c.add.s(2), c.mul.s(3)),
    "task | group of one": lambda c: c.add.s(1) | c.group(c.add.s(2)),
    "chain | group of one": lambda c: c.add.s(1) | c.add.s(0) | c.group(c.add.s(2)),
    "chain | empty group": lambda c: c.add.s(1) | c.add.s(0) | c.group(),
    "task | group | task": lambda c: c.add.s(1) | c.group(c.add.s(2), c.mul.s(3)) | c.mul.s(4),
    "task | group | task | task": lambda c: (
        c.add.s(1) | c.group(c.add.s(2), c.mul.s(3)) | c.mul.s(4) | c.mul.s(5)
    ),
    "group | task": lambda c: c.group(c.add.s(2), c.mul.s(3)) | c.mul.s(4),
    "group of one | task": lambda c: c.group(c.add.s(2)) | c.mul.s(4),
    "group | group": lambda c: c.group(c.add.s(2), c.mul.s(3)) | c.group(c.add.s(4), c.mul.s(5)),
    "group | empty group": lambda c: c.group(c.add.s(2), c.mul.s(3)) | c.group(),
    "group | task | task": lambda c: c.group(c.add.s(2), c.mul.s(3)) | c.mul.s(4) | c.mul.s(5),
    "group | task | group": lambda c: (
        c.group(c.add.s(2), c.mul.s(3)) | c.mul.s(4) | c.group(c.add.s(5), c.add.s(6))
    ),
    "task | group | task | group | task": lambda c: (
        c.add.s(1)
        | c.group(c.add.s(2), c.mul.s(3))
        | c.mul.s(4)
        | c.group(c.add.s(5), c.add.s(6))
        | c.mul.s(7)
    ),
    "chord | task": lambda c: c.chord([c.add.s(1)], c.mul.s(2)) | c.add.s(3),
    "chord | chord": lambda c: c.chord([c.add.s(1)], c.mul.s(2)) | c.chord([c.add.s(3)], c.mul.s(4)),
    "chord | chain": lambda c: c.chord([c.add.s(1)], c.mul.s(2)) | (c.add.s(3) | c.add.s(4)),
    "chord | group of one": lambda c: c.chord([c.add.s(1)], c.mul.s(2)) | c.group(c.add.s(3)),
    "chain with links | task": lambda c: (
        _linked(_linked(c.add.s(1) | c.add.s(2), "link", c.mul.s(3)), "link_error", c.oops.s()) | c.add.s(4)
    ),
    "|= is |": lambda c: _ior(c.add.s(1), c.add.s(2), c.mul.s(3)),
    "chain of several": lambda c: c.chain(c.add.s(1), c.add.s(2), c.mul.s(3)),
    "chain of a list": lambda c: c.chain([c.add.s(1), c.add.s(2)]),
    "chain of a generator": lambda c: c.chain(c.add.s(i) for i in range(3)),
    "chain of one": lambda c: c.chain(c.add.s(1)),
    "chain of a list of one": lambda c: c.chain([c.add.s(1)]),
    "chain of none": lambda c: c.chain([]),
    "chain of chains": lambda c: c.chain(c.chain(c.add.s(1), c.add.s(2)), c.chain(c.mul.s(3), c.mul.s(4))),
    "chain with options": lambda c: c.chain(c.add.s(1), c.add.s(2), countdown=3),
    "chain with a group first": lambda c: c.chain(c.group(c.add.s(1), c.add.s(2)), c.mul.s(3)),
    "chain with a group first and more": lambda c: c.chain(
        c.group(c.add.s(1), c.add.s(2)), c.mul.s(3), c.mul.s(4)
    ),
    "chain with a group in the middle": lambda c: c.chain(
        c.add.s(0), c.group(c.add.s(1), c.add.s(2)), c.mul.s(3), c.mul.s(4)
    ),
    "chain with a group at the end": lambda c: c.chain(c.add.s(0), c.group(c.add.s(1), c.add.s(2))),
    "chain with two groups": lambda c: c.chain(
        c.add.s(0), c.group(c.add.s(1), c.add.s(2)), c.group(c.add.s(3), c.add.s(4)), c.mul.s(5)
    ),
    "chain with chords": lambda c: c.chain(
        c.chord([c.add.s(1)], c.mul.s(2)), c.chord([c.add.s(3)], c.mul.s(4)), c.add.s(5)
    ),
    "chain clone": lambda c: (c.add.s(1) | c.add.s(2)).clone(countdown=3),
    "group of several": lambda c: c.group(c.add.s(1), c.add.s(2)),
    "group of a list": lambda c: c.group([c.add.s(1), c.add.s(2)]),
    "group of a generator": lambda c: c.group(c.add.s(i, i) for i in range(3)),
    "group of a task": lambda c: c.group(c.add.s(1)),
    "group of a group": lambda c: c.group(c.group(c.add.s(1), c.add.s(2))),
    "group of groups": lambda c: c.group(c.group(c.add.s(1)), c.group(c.add.s(2), c.add.s(3))),
    "group of none": lambda c: c.group([]),
    "group with options": lambda c: c.group([c.add.s(1)], queue="sums").set(countdown=3),
    "group, immutable": lambda c: c.group([c.add.s(1), c.add.s(2)]).set(immutable=True),
    "group, link": lambda c: _linked(c.group([c.add.s(1), c.add.s(2)]), "link", c.mul.s(3)),
    "group, link_error": lambda c: _linked(c.group([c.add.s(1), c.add.s(2)]), "link_error", c.oops.s()),
    "chord": lambda c: c.chord([c.add.s(1), c.add.s(2)], c.mul.s(3)),
    "chord of a generator": lambda c: c.chord((c.add.s(i) for i in range(3)), c.mul.s(3)),
    "chord of a group": lambda c: c.chord(c.group(c.add.s(1), c.add.s(2)), c.mul.s(3)),
    "chord of a task": lambda c: c.chord(c.add.s(1), c.mul.s(3)),
    "chord of a chain": lambda c: c.chord(c.add.s(1) | c.add.s(2), c.mul.s(3)),
    "chord without body": lambda c: c.chord([c.add.s(1)]),
    "chord with options": lambda c: c.chord([c.add.s(1)], c.mul.s(3), countdown=3),
    "chord, link": lambda c: _linked(c.chord([c.add.s(1)], c.mul.s(3)), "link", c.mul.s(4)),
    "chord, link_error": lambda c: _linked(c.chord([c.add.s(1)], c.mul.s(3)), "link_error", c.oops.s()),
    "chord in a chord, link_error": lambda c: _linked(
        c.chord([c.chord([c.add.s(1)], c.mul.s(2)), c.add.s(3)], c.mul.s(4)), "link_error", c.oops.s()
    ),
    "chord, immutable": lambda c: c.chord([c.add.s(1)], c.mul.s(3)).set(immutable=True),
    "chord clone": lambda c: c.chord([c.add.s(1)], c.mul.s(3)).clone(queue="sums"),
}

# Of members in a list: those that Celery was given one by one it shows as a tuple.
SHOWN: dict[str, Expression] = {
    "task": lambda c: c.add.s(2, "x", y=3),
    "no arguments": lambda c: c.add.s(),
    "map": lambda c: c.add.map([1, 2]),
    "starmap": lambda c: c.add.starmap([(1, 2)]),
    "chain": lambda c: c.add.s(1) | c.mul.s(2) | c.signature("other.tasks.add"),
    "chain with a group": lambda c: c.add.s(1) | c.group([c.add.s(2), c.mul.s(3)]),
    "group": lambda c: c.group([c.add.s(2), c.mul.s(3)]),
    "empty group": lambda c: c.group([]),
    "chord": lambda c: c.chord([c.add.s(2), c.mul.s(3)], c.mul.s(4)),
    "chord with a chain": lambda c: c.group([c.add.s(2), c.mul.s(3)]) | c.mul.s(4) | c.mul.s(5),
    "chord without body": lambda c: c.chord([c.add.s(1)]),
}


def _linked_list(sig: Any, *others: Any) -> Any:
    sig.extend_list_option("link", list(others))
    return sig


def _ior(first: Any, *others: Any) -> Any:
    for other in others:
        first |= other
    return first


def wire(sig: Any) -> Any:
    """As JSON has it; there tuples are lists."""
    return json.loads(json.dumps(sig))


@pytest.mark.parametrize("name", TASKS)
def test_can_01_a_signature_is_celerys_dict(name: str) -> None:
    """FEATURES CAN-01, CAN-02, CAN-04."""
    assert wire(TASKS[name](_ours())) == wire(TASKS[name](_celerys()))


@pytest.mark.parametrize("name", COMPOSED)
def test_can_05_a_composition_is_celerys_dict(name: str) -> None:
    """FEATURES CAN-05, CAN-06, CAN-08, CAN-11."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Celery's, about a setting of its own
        expected = wire(COMPOSED[name](_celerys()))

    assert wire(COMPOSED[name](_ours())) == expected


@pytest.mark.parametrize("name", SHOWN)
def test_a_signature_is_shown_as_celery_shows_it(name: str) -> None:
    assert repr(SHOWN[name](_ours())) == repr(SHOWN[name](_celerys()))


@pytest.mark.parametrize("name", [*TASKS, *COMPOSED])
def test_what_celery_wrote_is_read(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = wire({**TASKS, **COMPOSED}[name](_celerys()))

    assert wire(django_tasks.signature(written)) == written


@pytest.mark.parametrize("name", [*TASKS, *COMPOSED])
def test_celery_reads_what_we_wrote(name: str) -> None:
    written = wire({**TASKS, **COMPOSED}[name](_ours()))

    read = celery.Signature.from_dict(wire(written))  # of a copy, for it is changed

    assert wire(read) == written
