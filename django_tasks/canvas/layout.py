"""Laying a workflow out: the messages that are to be sent first, and the groups to count; the rest travels in them.

What follows a task travels in its message as with Celery: the steps of a chain reversed, so that the next one is the
last; the body of a chord with every task of the header. Whoever settles a task lays out what comes next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django_tasks.handlers import later
from django_tasks.message.asked import Asked
from django_tasks.message.fields import Fields
from django_tasks.message.group import NewGroup
from django_tasks.message.message import TaskMessage
from django_tasks.message.task_id import new_task_id

from .chain import chain
from .chord import chord
from .giving import end
from .group import group
from .normal import ACCUMULATE
from .signature import Signature

Options = Mapping[str, Any]
Part = TaskMessage | NewGroup
#: Makes a message of a task's name, its arguments, and its options.
Maker = Callable[[str, tuple[Any, ...], Options, Options], TaskMessage]

#: Above us: what a task is called with becomes a message there.
message_of: Maker = later("django_tasks.definition.order.message_of")
ignores = later("django_tasks.definition.order.ignores")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a signature stands: what led to it, what comes after it, and what it counts for.

    What this leaves open, the options of a signature say that has travelled.
    """

    root_id: str = ""
    parent_id: str | None = None
    #: The next step last.
    chain: tuple[Mapping[str, Any], ...] = ()
    group_id: str | None = None
    group_index: int | None = None
    chord: Mapping[str, Any] | None = None
    #: How many tasks it took the place of.
    nesting: int = 0
    #: Because of whom it is sent, where nobody can be asked any more.
    asked: Asked | None = None

    @property
    def membership(self) -> dict[str, Any]:
        """What it counts for, as options of the signature that bears the result."""
        if self.group_id is None:
            return {}
        said = {"group_id": self.group_id, "group_index": self.group_index, "ignore_result": False}
        return said if self.chord is None else {**said, "chord": self.chord}

    def before(self, steps: list[Signature]) -> Place:
        """Of what comes before these steps, whose last one then counts for what it did."""
        if not steps:
            return self
        if not self.chain:
            end(steps[-1]).options.update(self.membership)
        following = (*self.chain, *reversed(steps))
        return dataclasses.replace(self, chain=following, group_id=None, group_index=None, chord=None)


def lay_out(sig: Signature, place: Place, make: Maker = message_of) -> Iterator[Part]:
    """What is to be sent of a normal signature, which is used up; a group comes after its tasks."""
    match sig:
        case chain():
            first, *rest = sig.tasks
            yield from lay_out(first, place.before(rest), make)
        case group() if place.chain or (place := _counted(sig, place)).group_id:
            # What comes next takes one result, and a group counts one task: the one that has the list.
            body = Signature(ACCUMULATE, kwargs={"index": 0})
            yield from _chord(sig, body, place, make)
        case group():
            yield from _group(sig, place, make)
        case chord():
            yield from _chord(sig, sig.body_or_refuse(), place, make)
        case _:
            yield _task(sig, place, make)


def _counted(sig: group, place: Place) -> Place:
    """The place of a group that another program put into the header of a chord: its own options say so."""
    said = Fields(sig.options, kind="Option")
    if place.group_id or (chord := said.signature("chord")) is None:
        return place
    group_id, index = said.name("group_id"), said.count("group_index")
    return dataclasses.replace(place, group_id=group_id, group_index=index, chord=chord)


def _task(sig: Signature, place: Place, make: Maker) -> TaskMessage:
    said = Fields(sig.options, kind="Option")
    made = make(_name(sig), sig.args, sig.kwargs, sig.options)
    counts = place.group_id is not None
    following = (*place.chain, *(said.signatures("chain") or ())) or None
    return dataclasses.replace(
        made,
        # Lost with its worker, an untracked one would leave those waiting that come after it.
        ignore_result=False if following else made.ignore_result,
        root_id=place.root_id or said.name("root_id") or made.id,
        parent_id=place.parent_id or said.name("parent_id"),
        chain=following,
        group=place.group_id if counts else said.name("group_id"),
        group_index=place.group_index if counts else said.count("group_index"),
        chord=place.chord if counts else said.signature("chord"),
        replaced_task_nesting=place.nesting or said.count("replaced_task_nesting") or 0,
        asked=place.asked or made.asked,
    )


def _name(sig: Signature) -> str:
    """Raises `DecodeError` for one that cannot be stored."""
    return Fields(sig, kind="Signature").name("task") or ""


def _group_id(sig: Signature) -> str:
    return Fields(sig.options, kind="Option").name("task_id") or new_task_id()


def _group(sig: group, place: Place, make: Maker) -> Iterator[Part]:
    id = _group_id(sig)
    total = 0
    for index, member in enumerate(sig.tasks):
        bearer = end(member)
        if not ignores(bearer.task, bearer.options):
            bearer.options["ignore_result"] = False  # what is counted must have a row
            total += 1
        inside = dataclasses.replace(place, group_id=id, group_index=index)
        yield from lay_out(member, inside, make)
    if total:
        yield NewGroup(id=id, total=total, root_id=place.root_id, parent_id=place.parent_id)


def _chord(sig: group | chord, body: Signature, place: Place, make: Maker) -> Iterator[Part]:
    id = _group_id(sig)
    body = _travelling(body, place)
    inside = Place(
        root_id=place.root_id, parent_id=place.parent_id, group_id=id, chord=body, asked=place.asked
    )
    for index, member in enumerate(sig.tasks):
        end(member).options["ignore_result"] = False  # as above, whatever its task says
        yield from lay_out(member, dataclasses.replace(inside, group_index=index), make)
    total = len(sig.tasks)
    yield NewGroup(id=id, total=total, body=body, root_id=place.root_id, parent_id=place.parent_id)


def _travelling(body: Signature, place: Place) -> Signature:
    """The body with its own place, which is that of the chord."""
    bearer = end(body)
    bearer.options.update(place.membership)
    if place.chain:
        bearer.options["chain"] = [*place.chain, *bearer.options.get("chain", ())]
    if place.root_id:
        for task in [body, *(body.tasks if isinstance(body, chain) else ())]:
            task.options.update(root_id=place.root_id)
        body.options["parent_id"] = place.parent_id
    return body


def all_of(
    sig: Signature, place: Place, make: Maker, normal: Callable[[Any], Signature]
) -> Iterator[TaskMessage]:
    """A message for everything in a normal signature, what comes later included; none of them is to be sent."""
    for part in lay_out(sig, place, make):
        if isinstance(part, TaskMessage):
            yield dataclasses.replace(part, chain=None)
            for step in part.chain or ():
                yield from all_of(normal(step), Place(asked=part.asked), make, normal)
        elif part.body is not None:
            yield from all_of(normal(part.body), Place(), make, normal)
