"""Points of a task's journey at which a process can be made to die, at once and without a word.

The processes of a stage share a folder. Who comes to a point that is armed there disarms it and exits: one process,
once. What is wrapped for that is named here, so that nothing in the product knows of it; a name that it has no more
is an error in every process that installs the points.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django_tasks.execution.outcome import Reported, Started

#: The exit code of who died at a point.
CODE = 86
#: Kinds of brokers.
EMBEDDED = ("django",)
REDIS = ("redis",)
REMOTE = (*REDIS, "rabbitmq")

Condition = Callable[[tuple[Any, ...], Any], object]


def always(arguments: tuple[Any, ...], answer: Any) -> bool:
    return True


def has(place: int) -> Condition:
    """Is there anything in this argument? An idle process makes many calls with nothing."""
    return lambda arguments, answer: arguments[place]


def has_requests(arguments: tuple[Any, ...], answer: Any) -> object:
    return arguments[1].requests


def has_ends(arguments: tuple[Any, ...], answer: Any) -> bool:
    """Do these say of more than that bodies run?"""
    return not all(isinstance(event, Started | Reported) for event in arguments[0])


def has_prepared(arguments: tuple[Any, ...], answer: Any) -> object:
    return arguments[0].prepared


def answers(arguments: tuple[Any, ...], answer: Any) -> object:
    return answer


def answers_requests(arguments: tuple[Any, ...], answer: Any) -> object:
    return answer.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Before or after a call of "module:function" or "module:Class.method"."""

    path: str
    is_after: bool
    #: The name of the thread that has to die of it; empty for any.
    thread: str = ""
    #: Asked with the arguments of the call and, after it, its answer: is this call the one?
    when: Condition = always
    #: With which kinds of broker a process comes here.
    kinds: tuple[str, ...] = (*EMBEDDED, *REMOTE)

    def find(self) -> tuple[Any, str, Callable[..., Any]]:
        """Where it is now: the owner, the name and the function. Raises if the product has no such."""
        module, _, name = self.path.partition(":")
        *owners, attribute = name.split(".")
        owner: Any = importlib.import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        return owner, attribute, vars(owner)[attribute]


def before(path: str, **how: Any) -> Point:
    return Point(path=f"django_tasks.{path}", is_after=False, **how)


def after(path: str, **how: Any) -> Point:
    return Point(path=f"django_tasks.{path}", is_after=True, **how)


POINTS = {
    # -- in the sender
    "sender: written, not committed": after("models.result_waits:AwaitedResults.insert"),
    "sender: sent in a transaction, not committed": after("dispatch.now:deliver"),
    "sender: committed, not published": before("brokers.outbox:Outbox._pushed", kinds=REMOTE),
    "sender: published, still in the outbox": after("brokers.outbox:Outbox._pushed", kinds=REMOTE),
    "sender: its row committed, not published": before("dispatch.at_once:_publish", kinds=REMOTE),
    "sender: replayed, before the notice": before("models.queue:announce"),
    # -- in a task process, from the message to the body
    "received, not claimed": before("models.result_claims:ClaimedResults.claim"),
    "claimed, not committed": after("worker.consumer:admit", when=answers_requests),
    "claimed, not acknowledged": before("brokers.consuming:RemoteReceiver._acknowledge", kinds=REMOTE),
    "claimed, not taken on": before("worker.claims:Claims.add", when=has_requests),
    "taken on, not begun": before("worker.board:Seat.begin"),
    "begun, body not called": after("worker.board:Seat.begin"),
    "body returned": after("execution.run:_body"),
    "atomic, not committed": after("execution.atomic:settle"),
    "replaced, not committed": after("models.result_claims:ClaimedResults.vacate"),
    "replaced": after("dispatch.workflow:replace_task"),
    # -- from the outcome to its record
    "outcome, not on the board": after("worker.runners.runner:execute"),
    "outcome half on the board": after("worker.board:Seat._copy_in"),
    "outcome on the board": after("worker.board:Seat.end"),
    "not settled": before("worker.claims:settle", when=has_ends),
    "settled, not committed": after("worker.claims:settle", when=has_ends),
    "settled, still on the board": before("worker.claims:Claims._forget", when=has(1)),
    "settled and forgotten": after("worker.claims:Claims._forget", when=has(1)),
    # -- what follows from it
    "group counted, not committed": after("models.group:TaskGroupQuerySet.tally", when=answers),
    "what follows is written, not committed": after("execution.ledger:Rows.flush", when=has_prepared),
    "what follows is committed, not published": before(
        "brokers.outbox:Outbox._pushed", thread="consumer", kinds=REMOTE
    ),
    "what follows is published, still in the outbox": after(
        "brokers.outbox:Outbox._pushed", thread="consumer", kinds=REMOTE
    ),
    # -- giving back
    "given back, not committed": after("worker.claims:hand_back", when=has(0)),
    "given back, not forgotten": after("worker.claims:Claims._give_back", when=has(1)),
    # -- in the housekeeper: the end of what somebody has stopped
    "stopped, not committed": after("worker.verdicts:execute", when=has(0)),
    # -- in the housekeeper: the relay
    "relay: due, not made ready": before(
        "models.queue:QueuedMessageQuerySet.make_ready", thread="relay", kinds=EMBEDDED
    ),
    "relay: made ready, before the notice": after(
        "models.queue:QueuedMessageQuerySet.make_ready", thread="relay", kinds=EMBEDDED
    ),
    "relay: borrowed, not committed": after(
        "models.queue:QueuedMessageQuerySet.lend", thread="relay", when=has(1), kinds=REMOTE
    ),
    "relay: borrowed, not published": before("brokers.remote:Remote.push", thread="relay", kinds=REMOTE),
    "relay: published, not deleted": after("brokers.remote:Remote.push", thread="relay", kinds=REMOTE),
    "relay: deleted": after("models.queue:QueuedMessageQuerySet.remove", thread="relay", kinds=REMOTE),
    # -- in the housekeeper: what dead processes left
    "rescue: before it": before("worker.rescue:Rescue.take_over"),
    "rescue: crash counted, not committed": after(
        "models.result_claims:ClaimedResults.count_crash", thread="rescue"
    ),
    "rescue: done, not committed": after("worker.rescue:Rescue.take_over"),
    "rescue: committed, not published": before(
        "brokers.outbox:Outbox._pushed", thread="rescue", kinds=REMOTE
    ),
    "rescue: committed, not given back by Redis": before(
        "brokers.unacked:Unacked.rescue", thread="rescue", kinds=REDIS
    ),
    "rescue: committed, the seat not free": before("worker.board:Seat.mark", thread="rescue"),
    "rescue: lost worker buried, not committed": after(
        "models.worker:WorkerQuerySet.bury", thread="rescue", when=answers
    ),
    # -- in the housekeeper: what a broker lost
    "lost: found, not committed": after(
        "models.result_waits:AwaitedResults.await_again", thread="lost", when=has(1), kinds=REMOTE
    ),
    "lost: committed, not published": before("brokers.outbox:Outbox._pushed", thread="lost", kinds=REMOTE),
}


class Folder:
    """Where it stands which points are armed, and which were died at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dead = path / "dead"
        self.dead.mkdir(parents=True, exist_ok=True)
        #: How often, by this process.
        self.armed = 0

    def environment(self) -> dict[str, str]:
        """What a process needs to know to die here."""
        return {"CHAOS_POINTS": str(self.path)}

    def arm(self, name: str) -> None:
        assert name in POINTS
        self.armed += 1
        (self.dead / name).unlink(missing_ok=True)
        (self.path / name).touch()

    def disarm(self, name: str) -> bool:
        """True for exactly one of all who come here."""
        try:
            (self.path / name).rename(self.dead / name)
        except FileNotFoundError:
            return False
        return True

    def has_died(self, name: str) -> bool:
        return (self.dead / name).exists()

    def all_dead(self) -> set[str]:
        return {file.name for file in self.dead.iterdir()}


def install(folder: Folder) -> None:
    """Have this process, and those that it forks, die at what is armed."""
    for name, point in POINTS.items():
        _install(name, point, folder)


def _install(name: str, point: Point, folder: Folder) -> None:
    owner, attribute, called = point.find()

    def pass_point(arguments: tuple[Any, ...], answer: Any = None) -> None:
        is_it = point.thread in ("", threading.current_thread().name)
        if is_it and point.when(arguments, answer) and folder.disarm(name):
            os._exit(CODE)

    @functools.wraps(called)
    def through(*arguments: Any, **named: Any) -> Any:
        if not point.is_after:
            pass_point(arguments)
        answer = called(*arguments, **named)
        if point.is_after:
            pass_point(arguments, answer)
        return answer

    setattr(owner, attribute, through)
