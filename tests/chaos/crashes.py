"""A process dies at each point of a task's journey, and each task comes to the end that is promised."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction

from django_tasks import Task, chain, chord, clock
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.task_id import new_task_id
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult
from django_tasks.models.result import LOST_AFTER
from django_tasks.results.async_result import AsyncResult
from django_tasks.results.handler import results
from tests.ledger.models import Entry
from tests.workers import ROOT, RunningWorker

from .points import CODE, POINTS, Folder
from .result import Result
from .stage import Stage
from .tasks import again, hold_again, hold_once, loose, once, replaced, retried, whole


class Fate(NamedTuple):
    """How a task has to end, how often its body has to begin, and how many processes died of it."""

    status: str
    runs: int
    crashes: int = 0


Fates = dict[str, Fate]
Promise = Mapping[Task[..., Any], Fate]

ONCE, TWICE = Fate("SUCCESS", 1), Fate("SUCCESS", 2)
#: Of a task without a row; its message is kept until it has ended.
LOOSE_ONCE, LOOSE_TWICE = Fate("", 1), Fate("", 2)
#: It was not running yet, or was over: that its process died is nothing to it.
UNTOUCHED: Promise = {once: ONCE, again: ONCE, whole: ONCE}
#: Its process died of it, though its body had not been called yet.
NOT_CALLED: Promise = {
    once: Fate("FAILURE", 0, 1),
    again: Fate("SUCCESS", 1, 1),
    whole: Fate("SUCCESS", 1, 1),
}
#: Its process died of it, and nobody knows what came of it.
CUT: Promise = {once: Fate("FAILURE", 1, 1), again: Fate("SUCCESS", 2, 1), whole: Fate("SUCCESS", 2, 1)}
#: The same, but what came of an atomic task is known: it is committed.
OVER: Promise = {**CUT, whole: ONCE}


#: What is there because of senders that died.
LEFT_BY_SENDERS: dict[str, Promise] = {
    "sender: written, not committed": {},
    "sender: sent in a transaction, not committed": {},
    "sender: its row committed, not published": {once: ONCE},
    "sender: committed, not published": {once: ONCE, loose: LOOSE_ONCE},
    "sender: published, still in the outbox": {once: ONCE, loose: LOOSE_TWICE},
    "sender: replayed, before the notice": {once: ONCE},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is sent while a point is armed, and (as what that answers) what has to become of it."""

    point: str
    send: Callable[[], Fates]
    #: The point at which another process has to die before.
    first: str = ""
    #: Does what is left then wait for longer than anybody wants to wait here?
    is_slow: bool = False


def rounds() -> Iterator[Round]:
    for point in (
        "received, not claimed",
        "claimed, not committed",
        "claimed, not acknowledged",
        "claimed, not taken on",
        "taken on, not begun",
    ):
        yield Round(point=point, send=together)
    # An atomic task has ended before its process comes to some of these points: another one is to come to the next.
    for point, promise in {
        "begun, body not called": NOT_CALLED,
        "body returned": CUT,
        "outcome, not on the board": OVER,
        "outcome half on the board": OVER,
        "outcome on the board": UNTOUCHED,
        "not settled": UNTOUCHED,
        "settled, not committed": UNTOUCHED,
        "settled, still on the board": UNTOUCHED,
        "settled and forgotten": UNTOUCHED,
    }.items():
        for task in (whole, once, again):
            yield Round(point=point, send=alone(task, promise[task]))
    yield Round(point="atomic, not committed", send=alone(whole, CUT[whole]))
    yield from rounds_of_untracked()
    yield from rounds_of_what_follows()
    yield from rounds_of_relay()
    yield from rounds_of_rescue()


def rounds_of_untracked() -> Iterator[Round]:
    """`acks_late` without a row: at least once."""
    for point, fate in {
        "claimed, not committed": LOOSE_ONCE,
        "claimed, not acknowledged": LOOSE_TWICE,
        "claimed, not taken on": LOOSE_ONCE,
        "taken on, not begun": LOOSE_ONCE,
        "body returned": LOOSE_TWICE,
        "settled, not committed": LOOSE_TWICE,
        "settled, still on the board": LOOSE_ONCE,
    }.items():
        yield Round(point=point, send=alone(loose, fate))


def rounds_of_what_follows() -> Iterator[Round]:
    for point in ("settled, not committed", "settled, still on the board"):
        yield Round(point=point, send=alone(retried, TWICE))
    for point in ("replaced, not committed", "replaced"):
        yield Round(point=point, send=alone(replaced, ONCE))
    yield Round(point="group counted, not committed", send=send_chord)
    for send in (send_chain, send_chord):
        yield Round(point="what follows is written, not committed", send=send)
        yield Round(point="what follows is committed, not published", send=send, is_slow=True)
        yield Round(point="what follows is published, still in the outbox", send=send, is_slow=True)


def rounds_of_relay() -> Iterator[Round]:
    yield Round(point="relay: due, not made ready", send=send_parked)
    yield Round(point="relay: made ready, before the notice", send=send_parked)
    yield Round(point="relay: borrowed, not committed", send=send_parked)
    yield Round(point="relay: borrowed, not published", send=send_parked, is_slow=True)
    yield Round(point="relay: published, not deleted", send=send_parked, is_slow=True)
    yield Round(point="relay: deleted", send=send_parked)


def rounds_of_rescue() -> Iterator[Round]:
    for point in (
        "rescue: before it",
        "rescue: crash counted, not committed",
        "rescue: done, not committed",
        "rescue: committed, the seat not free",
    ):
        for task in (once, again):
            yield Round(first="body returned", point=point, send=alone(task, CUT[task]))
    yield Round(first="outcome on the board", point="rescue: done, not committed", send=alone(once, ONCE))
    # By the time that somebody looks at what the dead one has said, the next run of it has ended.
    yield Round(first="settled, still on the board", point="rescue: before it", send=alone(retried, TWICE))
    yield Round(
        first="body returned",
        point="rescue: committed, not published",
        send=alone(again, CUT[again]),
        is_slow=True,
    )
    point = "rescue: committed, not given back by Redis"
    yield Round(first="claimed, not acknowledged", point=point, send=together, is_slow=True)


# -- what is sent


def alone(task: Task[..., Any], fate: Fate) -> Callable[[], Fates]:
    return lambda: {task.delay().id: fate}


def together() -> Fates:
    with transaction.atomic():
        return {task.delay().id: fate for task, fate in UNTOUCHED.items()}


def send_chain() -> Fates:
    last = chain(once.si(), once.si()).delay()
    assert last.parent
    return dict.fromkeys([last.parent.id, last.id], ONCE)


def send_chord() -> Fates:
    body = chord([once.si(), once.si()], once.si()).delay()
    assert body.parent
    return dict.fromkeys([body.id, *(member.id for member in body.parent.children)], ONCE)


def send_parked() -> Fates:
    """Its message waits in the database, and has waited for long enough."""
    message = TaskMessage(id=new_task_id(), task=once.name)
    envelope = encode(message)
    soon = clock.now() + dt.timedelta(hours=1)
    with transaction.atomic():
        results().open([(message, envelope)])
        broker().publish([Posting(envelope=envelope, queue=message.queue, deliver_at=soon)])
        pass_time()
    return {message.id: ONCE}


def pass_time() -> None:
    """As if the time were over that senders and relays are given for what they have begun."""
    lend(-dt.timedelta(hours=1))
    give_up_waiting()


def lend(span: dt.timedelta) -> None:
    """What is in the outbox, to somebody who will not say whether he has published it."""
    until = clock.to_storage(clock.now() + span)
    QueuedMessage.objects.exclude(deliver_at=None).update(deliver_at=until)


def give_up_waiting() -> None:
    """For the messages of rows, which may have been lost."""
    past = clock.to_storage(clock.now() - dt.timedelta(hours=1))
    TaskResult.objects.waiting().exclude(awaited_at=None).update(awaited_at=past)


# -- dying


def crash_everywhere(stage: Stage) -> Result:
    """All on one worker, whose supervisor replaces what dies; the last death is that of all of it."""
    crashes = Crashes(stage)
    crashes.of_senders()
    worker = crashes.over_what_they_left()
    for round in rounds():
        if crashes.come_to(round.point):
            crashes.over(round)
    for task in (hold_once, hold_again):
        crashes.over_giving_back("given back, not committed", task)
        crashes.over_giving_back("given back, not forgotten", task)
    crashes.over_stopping()
    crashes.over_lost_worker(worker)
    return crashes.count()


class Crashes:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.kind = stage.server.kind if stage.server else "django"
        self.points = Folder(stage.folder / "points")
        self.workers: list[RunningWorker] = []
        self.fates: Fates = {}
        self.slowest = 0.0

    def come_to(self, point: str) -> bool:
        return self.kind in POINTS[point].kinds

    def of_senders(self) -> None:
        left = {point: promise for point, promise in LEFT_BY_SENDERS.items() if self.come_to(point)}
        environment = {**os.environ, **self.stage.environment(), **self.points.environment()}
        command = [sys.executable, "-m", "tests.chaos.sender", *left]
        answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
        for point, ids in json.loads(answer.stdout).items():
            self.fates |= {ids[task.name]: fate for task, fate in left[point].items()}

    def over_what_they_left(self) -> RunningWorker:
        """A worker that has just been started looks for that at once.

        A relay that died with the rest of its housekeeper, and had published, would let tasks without a row run once
        more than is counted on: it finds nothing yet.
        """
        lend(dt.timedelta(hours=1))
        give_up_waiting()
        looks = ("lost: found, not committed", "lost: committed, not published")
        with self.dying(*filter(self.come_to, looks)):
            worker = self.start_worker()
        self.recover(self.fates, is_slow=True)
        return worker

    def over(self, round: Round) -> None:
        with self.dying(*filter(None, (round.first, round.point))):
            fates = round.send()
        began = time.monotonic()
        self.recover(fates, is_slow=round.is_slow)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def over_giving_back(self, point: str, task: Task[..., Any]) -> None:
        """A task process is asked to end while it runs a task and has claimed others."""
        # So many have shown to be short that it claims some ahead.
        self.recover({sent.id: ONCE for sent in once.bulk([()] * 15)})
        gate = self.stage.gate(f"{point} {task.name}")
        with self.dying(point):
            with transaction.atomic():
                held = task.delay(str(gate))
                behind = together()
            pid = self.stage.until(lambda: self.stage.runs_of(held), "it runs")[0].pid
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        gate.touch()
        self.recover(behind | {held.id: CUT[again if task.acks_late else once]})

    def over_stopping(self) -> None:
        """The process of a task that somebody stops is killed, and then the housekeeper that sees to it."""
        with self.dying("stopped, not committed"):
            held = self.hold(hold_again, self.stage.gate("never"))
            held.revoke(terminate=True)
        self.recover({held.id: Fate("REVOKED", 1)})

    def over_lost_worker(self, worker: RunningWorker) -> None:
        """All of it dies, and then the housekeeper of the next one that takes over what it left."""
        gate = self.stage.gate("lost worker")
        held = self.hold(hold_again, gate)
        worker.kill_group()
        gate.touch()
        with self.dying("rescue: lost worker buried, not committed"):
            self.start_worker()
        self.recover({held.id: CUT[again]})

    def hold(self, task: Task[..., Any], gate: Path) -> AsyncResult[Any]:
        """Until the gate is there, it runs."""
        held = task.delay(str(gate))
        self.stage.until(lambda: self.stage.runs_of(held), "it runs")
        return held

    def start_worker(self) -> RunningWorker:
        self.workers.append(self.stage.worker("--processes=1", **self.points.environment()))
        return self.workers[-1]

    @contextmanager
    def dying(self, *points: str) -> Iterator[None]:
        """Processes die at these points because of what is done meanwhile."""
        for point in points:
            print(point)  # for whoever asks where it failed
            self.points.arm(point)
        yield
        for point in points:
            self.stage.until(lambda point=point: self.points.has_died(point), f"a death, {point}")

    def recover(self, fates: Fates, *, is_slow: bool = False) -> None:
        """Until these have ended and nothing of them is left."""
        self.fates |= fates
        self.stage.sent |= dict.fromkeys(fates, False)
        if is_slow:
            pass_time()
        self.stage.until(lambda: self.have_run(fates), "runs")
        self.stage.end()

    def have_run(self, fates: Fates) -> bool:
        ran = Counter(run.task_id for run in self.stage.runs())
        return all(ran[id] >= fate.runs for id, fate in fates.items())

    # -- the count

    def count(self) -> Result:
        self.workers[-1].terminate()
        self.workers[-1].wait()
        found = self.found()
        others = {id: (fate, self.fates.get(id)) for id, fate in found.items() if fate != self.fates.get(id)}
        assert not others, f"found, and promised: {others}"
        assert found.keys() == self.fates.keys()
        assert set(Counter(Entry.objects.values_list("task_id", flat=True)).values()) == {1}
        assert self.points.all_dead() == set(filter(self.come_to, POINTS))
        assert self.said() == self.points.armed
        assert self.slowest < LOST_AFTER.total_seconds()  # no task had to be taken for lost
        return Result(
            number=12,
            fault="a process dies at each point of a task's journey",
            where=self.stage.where,
            sent=len(self.fates),
            ran=self.stage.begun(),
            lost=sum(found[id].runs < fate.runs for id, fate in self.fates.items()),
            doubled=sum(fate.runs > self.fates[id].runs for id, fate in found.items()),
            unended=self.left_over(),
            recovery=self.slowest,
            figures=f"{len(self.points.all_dead())} points, each hit",
        )

    def found(self) -> Fates:
        """Also of what nobody has sent."""
        ran = Counter(run.task_id for run in self.stage.runs())
        fates = {id: Fate("", runs) for id, runs in ran.items()}
        rows = TaskResult.objects.values_list("id", "status", "crashes")
        return fates | {id: Fate(status, ran[id], crashes) for id, status, crashes in rows}

    def said(self) -> int:
        """How many deaths the supervisors have told of."""
        return sum(worker.output.count(f"ended with exit code {CODE}") for worker in self.workers)

    def left_over(self) -> int:
        owned = TaskResult.objects.filter(claimed_by__isnull=False)
        waiting = (
            owned,
            TaskResult.objects.not_final(),
            TaskGroup.objects.unfinished(),
            QueuedMessage.objects,
        )
        in_broker = sum(map(broker().size, ("default", "other", "third")))
        return sum(rows.count() for rows in waiting) + in_broker + len(broker().owners())
