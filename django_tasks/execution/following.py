"""What follows from the ends of tasks: callbacks and the next steps, groups that are complete, steps that never run.

Decided here, for workers and for eager runs alike; a `Ledger` is where it is done. PROTOCOL of the steps: after SUCCESS
the callbacks and the next step of the chain are sent with the result. After any other end the rest of the chain ends
likewise, and after FAILURE the error callbacks are called. Whatever the end, the task is counted for its group; when
all of a chord's header have ended, its body is sent with their results or ends with `ChordError`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_tasks import states
from django_tasks.canvas.fields import listed
from django_tasks.canvas.layout import Options, Part, Place, all_of, lay_out, message_of
from django_tasks.canvas.normal import normal
from django_tasks.canvas.signature import taken
from django_tasks.exceptions import ChordError, ResultsDisabled
from django_tasks.message.errors import read_error, write_error
from django_tasks.message.fields import Fields
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.saferepr import saferepr
from django_tasks.message.serialization import loads
from django_tasks.message.task_id import new_task_id

from . import errbacks

logger = logging.getLogger("django_tasks.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A task that ended: `text` is its result or its exception, as JSON."""

    message: TaskMessage
    status: str
    text: str | None
    #: Whether its body was called. If not, nothing is written of it yet.
    ran: bool = True
    #: Whether its failure is to be told: of the rest of a chain it is not, for the first failure is.
    tells: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A group of which all tasks have ended."""

    id: str
    #: How many tasks these are.
    total: int
    body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """How one task of a complete group ended."""

    id: str
    status: str
    text: str | None


class Ledger(Protocol):
    """Where what follows is done."""

    def send(self, parts: Sequence[Part]) -> None:
        """Send these. Raises, with nothing sent, if they cannot be written down."""

    def end(self, ended: Sequence[Ended]) -> list[Ended]:
        """Write down ends of tasks that never ran, and answer those that had none before."""

    def count(self, ended: Sequence[Ended]) -> list[Complete]:
        """Count these for their groups, and answer the groups that are complete now."""

    def members(self, group_id: str) -> list[Member]:
        """How the tasks of a group ended, in its order."""

    def call_errbacks(self, one: Ended) -> None:
        """Have those error callbacks called that take the exception, of a task that never ran."""


def has_following(message: TaskMessage) -> bool:
    """Does anything follow from the end of this task, whatever it is?"""
    return bool(message.chain or message.callbacks or message.errbacks or _counts(message))


def follow(ended: Iterable[Ended], ledger: Ledger) -> None:
    """Do all that follows from these ends, and from those in which that results."""
    found = list(ended)
    while found:
        never_run = ledger.end([one for one in found if not one.ran])
        found = [*(one for one in found if one.ran), *never_run]
        more: list[Ended] = []
        for one in found:
            more += _succeed(one, ledger) if one.status == states.SUCCESS else _fail(one, ledger)
        counted = [one for one in found if _counts(one.message)]
        for group in ledger.count(counted):
            # Who asked for the header asked for the body.
            asked = next((one.message.asked for one in counted if one.message.group == group.id), None)
            more += _complete(group, ledger, Place(asked=asked))
        found = more


def follow_group(group: Complete, ledger: Ledger) -> None:
    """Do all that follows from a group being complete."""
    follow(_complete(group, ledger, Place()), ledger)


def _counts(message: TaskMessage) -> bool:
    """Is it waited for by a group? One of which nothing is stored is not; it may even run twice."""
    return message.group is not None and (message.chord is not None or not message.ignore_result)


def _succeed(one: Ended, ledger: Ledger) -> list[Ended]:
    """Send what the result goes to. Answers the steps that could not be sent."""
    if not (one.message.callbacks or one.message.chain):
        return []
    failed: list[Ended] = []
    args = (_value(one.text),)
    for callback in one.message.callbacks or ():
        failed += _send(callback, args, _after(one.message), ledger)
    if one.message.chain:
        *rest, step = one.message.chain
        failed += _send(step, args, _after(one.message, tuple(rest)), ledger)
    return failed


def _after(message: TaskMessage, chain: tuple[Mapping[str, Any], ...] = ()) -> Place:
    return Place(
        root_id=message.root_id or message.id, parent_id=message.id, chain=chain, asked=message.asked
    )


def _send(sig: Mapping[str, Any], args: tuple[Any, ...], place: Place, ledger: Ledger) -> list[Ended]:
    """Call a signature so. If it cannot be sent, its tasks end with the reason."""
    try:
        ledger.send(list(lay_out(normal(taken(sig).clone(args)), place)))
    except Exception as error:  # whatever a project's middleware or its arguments raise
        logger.exception("%s could not be sent: it ends with this", sig.get("task"))
        return _as_known(sig, _never_run(sig, place, states.FAILURE, write_error(error)))
    return []


def _as_known(sig: Mapping[str, Any], ended: Iterator[Ended]) -> list[Ended]:
    """All of these ends; of a signature that makes no sense nothing is known, and nobody can wait for it.

    Foreign programs may send such. It must not keep the end of the task from being recorded that brought it along.
    """
    try:
        return list(ended)
    except Exception:
        logger.exception("Nothing is recorded of %s: it makes no sense", saferepr(sig.get("task"), most=80))
        return []


def _fail(one: Ended, ledger: Ledger) -> list[Ended]:
    """Have its failure told, and end the rest of its chain."""
    if one.status == states.FAILURE and one.tells and one.message.errbacks:
        _tell(one, ledger)
    rest: list[Ended] = []
    for step in reversed(one.message.chain or ()):
        rest += _as_known(step, _skipped(step, one.status, one.text, _after(one.message)))
    return rest


def _tell(one: Ended, ledger: Ledger) -> None:
    called = [errback for errback in one.message.errbacks or () if errbacks.is_called_here(errback)]
    if called and not one.ran:
        ledger.call_errbacks(one)
    for errback in one.message.errbacks or ():
        if errback not in called:
            _send(errback, (one.message.id,), _after(one.message), ledger)


def _skipped(sig: Mapping[str, Any], status: str, text: str | None, place: Place) -> Iterator[Ended]:
    """Everything in a signature that will not be sent, as ended."""
    for message in all_of(normal(taken(sig)), place, _ended_message, normal):
        yield Ended(message=message, status=status, text=text, ran=False, tells=False)


def _ended_message(name: str, args: tuple[Any, ...], kwargs: Options, options: Options) -> TaskMessage:
    """The message of a task that is not to be sent, also if it is one that cannot be."""
    try:
        made: TaskMessage = message_of(name, args, kwargs, options)
        encode(made)
    except Exception:  # noqa: BLE001 - options that no task has, or arguments that cannot be written
        id = Fields(options, kind="Option").name("task_id") or new_task_id()
        return TaskMessage(id=id, task=name, errbacks=tuple(listed(options.get("link_error"))))
    return made


def _never_run(sig: Mapping[str, Any], place: Place, status: str, text: str | None) -> Iterator[Ended]:
    """The same, where it is this signature that failed: its error callbacks are told, and what follows it ends."""
    for part in lay_out(normal(taken(sig)), place, _ended_message):
        if isinstance(part, TaskMessage):
            yield Ended(message=part, status=status, text=text, ran=False)
        elif part.body is not None:
            yield from _skipped(part.body, status, text, Place())


def _complete(group: Complete, ledger: Ledger, place: Place) -> list[Ended]:
    """Send the body of a chord, or end it."""
    if group.body is None:
        return []
    try:
        members = ledger.members(group.id)
    except ResultsDisabled as error:
        return _broken(group.body, ChordError(str(error)))
    if len(members) < group.total:
        gone = group.total - len(members)
        return _broken(group.body, ChordError(f"{gone} of the {group.total} results were forgotten"))
    broken = next((member for member in members if member.status != states.SUCCESS), None)
    if broken is not None:
        return _broken(group.body, _chord_error(broken))
    return _send(group.body, ([_value(member.text) for member in members],), place, ledger)


def _broken(body: Mapping[str, Any], error: ChordError) -> list[Ended]:
    return _as_known(body, _never_run(body, Place(), states.FAILURE, write_error(error)))


def _chord_error(member: Member) -> ChordError:
    if member.status in states.PROPAGATE_STATES:
        return ChordError(f"Dependency {member.id} raised {saferepr(read_error(_value(member.text)))}")
    return ChordError(f"Dependency {member.id} ended as {member.status}, without a result")


def _value(text: str | None) -> Any:
    if text is None:
        return None
    return loads(text, content_type="application/json", content_encoding="utf-8", accept=("json",))
