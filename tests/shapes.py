"""Workflows by example and at random, each with what it must come to, reckoned in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from django_tasks import Signature, chain, chord, group
from tests.ledger.tasks import add, add_at_second, collect, constant, forget_value, plus, total

#: A workflow and its result.
EXAMPLES: dict[str, tuple[Any, Any]] = {
    "one task": (add.s(1, 2), 3),
    "a partial": (add.s(2).clone(args=(1,)), 3),
    "a chain": (chain(add.s(1, 2), add.s(3), add.s(4)), 10),
    "a chain by |": (add.s(1, 2) | add.s(3) | add.s(4), 10),
    "an immutable step": (add.s(1, 2) | add.si(5, 5) | add.s(1), 11),
    "a chain of one": (chain(add.s(1, 2)), 3),
    "a chain in a chain": (chain(add.s(1, 2), chain(add.s(3), add.s(4)), add.s(5)), 15),
    "a chain with a step that ignores its result": (add.s(1, 2) | forget_value.s() | add.s(3), 6),
    "a chain with a step that is tried again": (add.s(1, 2) | add_at_second.s(3) | add.s(4), 10),
    "a group": (group(add.s(i, i) for i in range(4)), [0, 2, 4, 6]),
    "a group of one": (group(add.s(1, 1)), [2]),
    "a group in a group": (group(add.s(1, 1), group(add.s(2, 2), add.s(3, 3))), [2, 4, 6]),
    "a group of chains": (group(add.s(1, 1) | add.s(1), add.s(2, 2) | add.s(2)), [3, 6]),
    "a chord": (chord([add.s(1, 1), add.s(2, 2)], total.s()), 6),
    "a chord of one": (chord([add.s(1, 1)], total.s()), 2),
    "a chord of nothing": (chord([], total.s()), 0),
    "a chord by |": (group(add.s(1, 1), add.s(2, 2)) | total.s(), 6),
    "a chord with more arguments": (chord([constant.s(1), constant.s(2)], plus.s(10)), 13),
    "a chord whose header ignores results": (chord([forget_value.s(1), forget_value.s(2)], total.s()), 3),
    "a chord whose header is tried again": (chord([add_at_second.s(1, 1), add.s(2, 2)], total.s()), 6),
    "a chord and more steps": (chord([add.s(1, 1), add.s(2, 2)], total.s()) | add.s(1) | add.s(2), 9),
    "a group as a step": (add.s(1, 1) | group(add.s(1), add.s(2)) | total.s(), 7),
    "a group as the last step": (add.s(1, 1) | group(add.s(1), add.s(2)), [3, 4]),
    "two groups, one after the other": (
        group(constant.s(1), constant.s(2)) | group(plus.s(1), plus.s(2)) | total.s(),
        9,
    ),
    "a chain in a chord": (chord([add.s(1, 1) | add.s(1), constant.s(5)], collect.s()), [3, 5]),
    "a chain that ends in a group, in a chord": (
        chord([constant.s(1) | group(add.s(1), add.s(2)), constant.s(5)], collect.s()),
        [[2, 3], 5],
    ),
    "a chord in a chord": (
        chord([chord([constant.s(1), constant.s(2)], total.s()), constant.s(5)], collect.s()),
        [3, 5],
    ),
    "a chord as the body of a chord": (
        chord([constant.s(1), constant.s(2)], chord([plus.s(1), plus.s(2)], collect.s())),
        [4, 5],
    ),
    "a group as the body of a chord": (
        chord([constant.s(1), constant.s(2)], group(plus.s(1), plus.s(2))),
        [4, 5],
    ),
    "a chain as the body of a chord": (
        chord([constant.s(1), constant.s(2)], total.s() | add.s(1) | add.s(1)),
        5,
    ),
    "a map": (total.map([[1, 2], [3]]), [3, 3]),
    "a starmap": (add.starmap([(1, 2), (3, 4)]), [3, 7]),
    "a starmap and a step": (add.starmap([(1, 2), (3, 4)]) | total.s(), 10),
    "chunks": (add.chunks(zip(range(5), range(5), strict=True), 2).group(), [[0, 2], [4, 6], [8]]),
}


@dataclass(frozen=True)
class Shape:
    """A workflow, and how plain Python reckons it."""

    def signature(self) -> Signature:
        raise NotImplementedError

    def result(self, value: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Step(Shape):
    number: int
    ignores_input: bool = False

    def signature(self) -> Signature:
        return constant.si(self.number) if self.ignores_input else plus.s(self.number)

    def result(self, value: Any) -> Any:
        return self.number if self.ignores_input else total(value) + self.number


@dataclass(frozen=True)
class Chain(Shape):
    steps: tuple[Shape, ...]

    def signature(self) -> Signature:
        return chain(*(step.signature() for step in self.steps))

    def result(self, value: Any) -> Any:
        for step in self.steps:
            value = step.result(value)
        return value


@dataclass(frozen=True)
class Group(Shape):
    members: tuple[Shape, ...]

    def signature(self) -> Signature:
        return group(*(member.signature() for member in self.members))

    def result(self, value: Any) -> Any:
        return [member.result(value) for member in self.flat()]

    def flat(self) -> list[Shape]:
        """A group in a group gives its members to it."""
        found: list[Shape] = []
        for member in self.members:
            while isinstance(member, Chain) and len(member.steps) == 1:
                member = member.steps[0]
            found += member.flat() if isinstance(member, Group) else [member]
        return found


@dataclass(frozen=True)
class Chord(Shape):
    header: Group
    body: Shape

    def signature(self) -> Signature:
        return chord([member.signature() for member in self.header.members], self.body.signature())

    def result(self, value: Any) -> Any:
        return self.body.result(self.header.result(value))


steps = st.builds(Step, st.integers(0, 9), st.booleans())


def _larger(smaller: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    chains = st.lists(smaller, min_size=1, max_size=3).map(lambda steps: Chain(tuple(steps)))
    # In a chain a group of one is that one, but not everywhere (Celery): that is for the examples.
    groups = st.lists(smaller, min_size=2, max_size=3).map(lambda members: Group(tuple(members)))
    return st.one_of(chains, groups, st.builds(Chord, groups, smaller))


#: Of depth 4 at most.
shapes: st.SearchStrategy[Shape] = steps
for _ in range(3):
    shapes = st.one_of(steps, _larger(shapes))
