"""Whatever happens to tasks, in whatever order: one owner, one ending, and nothing left over (DESIGN §2, §6)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from enum import Enum
from typing import Any

import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_tasks import Task, chain, chord, group, task
from django_tasks.brokers.handler import broker
from django_tasks.brokers.remote import Remote
from django_tasks.dispatch.purging import purge
from django_tasks.exceptions import Ignore, Reject
from django_tasks.execution.outcome import Request
from django_tasks.execution.settlement import posting_of_row
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult
from django_tasks.models import Worker as WorkerRow
from django_tasks.results.async_result import AsyncResult
from django_tasks.service import Wakeup
from django_tasks.states import FINAL_STATES
from django_tasks.worker import lost
from django_tasks.worker.board import CUT, DEAD, OVERDUE, TERMINATED
from tests.examples import TIMES, examples

from .fleet import SLOTS, Time, Worker

MAX_CRASHES = 3
#: Seconds: longer than a lease, or than a broker is given to deliver what it has.
LONG = 40.0


class Fate(Enum):
    """How a body ends."""

    SUCCEEDS = "succeeds"
    FAILS = "fails"
    RETRIES = "retries at once"
    RETRIES_LATER = "retries in a minute"
    REJECTS = "wants to be in the queue again"
    IGNORES = "wants nothing to be recorded"


#: What comes of the body that is called next.
next_fate = Fate.SUCCEEDS


def meet_fate(task: Task[..., Any]) -> str:
    match next_fate:
        case Fate.FAILS:
            raise ValueError("fails")
        case Fate.RETRIES:
            raise task.retry(countdown=0)
        case Fate.RETRIES_LATER:
            raise task.retry(countdown=60)
        case Fate.REJECTS:
            raise Reject(requeue=True)
        case Fate.IGNORES:
            raise Ignore
    return "done"


@task(name="lives.once", bind=True, max_retries=None)
def once(self: Task[..., Any], *_: Any) -> str:
    return meet_fate(self)


@task(name="lives.again", bind=True, max_retries=None, acks_late=True)
def again(self: Task[..., Any], *_: Any) -> str:
    return meet_fate(self)


SENDS: dict[str, Callable[[], object]] = {
    "one that may run again": again.delay,
    "one": once.delay,
    "one with a time to expire": lambda: once.apply_async(expires=20),
    "one with an eta": lambda: again.apply_async(countdown=30),
    "a chain": lambda: chain(once.s(), again.s()).apply_async(),
    "a group": lambda: group(once.s(), again.s()).apply_async(),
    "a chord": lambda: chord([once.s(), again.s()], again.s()).apply_async(),
}
KINDS = st.sampled_from(list(SENDS))
PLACES = st.integers(0, 5)
WHICH = st.integers(0, 1)
FEW = st.integers(1, 3)


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.time = Time()
        self.stack.enter_context(self.time.rules())
        for rows in (QueuedMessage, TaskResult, TaskGroup, WorkerRow):
            rows.objects.all().delete()
        broker().purge("default")
        self.bell = Wakeup()
        self.stack.callback(self.bell.close)
        self.workers = [self.new_worker(), self.new_worker()]
        #: Owners that are gone, and not rescued before their worker's lease is over.
        self.vanished: set[str] = set()
        #: Every row as it was when we last looked, and how it had ended.
        self.rows: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, tuple[Any, ...]] = {}
        #: How often each row was claimed; and which of these claims a request is.
        self.claims: Counter[str] = Counter()
        self.claim_of: dict[int, tuple[Request, int]] = {}
        #: How often a body has begun, and how often it was given back although it had.
        self.begun: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()

    def new_worker(self) -> Worker:
        worker = Worker(self.bell)
        self.stack.callback(worker.close)
        return worker

    @initialize(what=st.lists(KINDS, min_size=1, max_size=3), bodies=st.integers(0, SLOTS))
    def begin_with_some_at_work(self, what: list[str], bodies: int) -> None:
        for one in what:
            self.send(one)
        self.nothing_is_wrong()
        self.receive(0, 3)
        self.nothing_is_wrong()
        for _ in range(bodies):
            self.begin(0)

    # -- sending

    @rule(what=KINDS)
    def send(self, what: str) -> None:
        SENDS[what]()

    @rule(what=KINDS)
    def send_and_roll_back(self, what: str) -> None:
        with transaction.atomic():
            SENDS[what]()
            transaction.set_rollback(True)

    @precondition(lambda self: not broker().is_embedded)
    @rule(what=KINDS)
    def send_and_die_between_commit_and_publish(self, what: str) -> None:
        remote = broker()
        assert isinstance(remote, Remote)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(remote.outbox, "empty", lambda sheet: None)
            with transaction.atomic():
                SENDS[what]()
        remote.outbox._own.sheet = None

    @precondition(lambda self: self.rows)
    @rule(place=PLACES, which=WHICH, is_received=st.booleans())
    def deliver_once_more(self, place: int, which: int, is_received: bool) -> None:
        broker().publish([posting_of_row(TaskResult.objects.get(id=self.pick(place)))])
        if is_received:
            self.nothing_is_wrong()
            self.receive(which, 3)

    @precondition(lambda self: not broker().is_embedded)
    @rule()
    def lose_messages(self) -> None:
        broker().purge("default")

    # -- in a task process

    @rule(which=WHICH, few=FEW)
    def receive(self, which: int, few: int) -> None:
        if self.workers[which].is_running:
            self.workers[which].receive(few)

    @rule(which=WHICH, few=FEW)
    def receive_and_begin(self, which: int, few: int) -> None:
        self.receive(which, few)
        self.nothing_is_wrong()
        self.begin(which)

    @rule(which=WHICH, few=FEW)
    def receive_and_not_be_told(self, which: int, few: int) -> None:
        if self.workers[which].is_running:
            self.workers[which].receive_unconfirmed(few)

    @precondition(lambda self: self.any(has_claims))
    @rule(which=WHICH)
    def begin(self, which: int) -> None:
        worker = self.workers[which]
        if worker.is_running and (begun := worker.runner.begin_next()):
            self.note_begun(worker, begun[1])

    def note_begun(self, worker: Worker, request: Request) -> None:
        id = request.message.id
        self.begun[id] += 1
        row = self.rows[id]
        assert row["claimed_by"] == worker.seat.owner, "a body begins whose task is somebody else's"
        assert self.is_current(request), "a body begins for a claim that is over"
        assert request.message.retries == row["retries"], (
            "a body begins for another run than the row waits for"
        )
        crashes = row["crashes"] if row["task"] == again.name else 0
        assert self.begun[id] <= 1 + row["retries"] + crashes + self.returned[id], "a body begins too often"

    @precondition(lambda self: self.any(runs_something))
    @rule(which=WHICH, fate=st.sampled_from(Fate), settles=st.booleans())
    def end(self, which: int, fate: Fate, settles: bool) -> None:
        worker = self.one(which, runs_something)
        self.end_body(worker, min(worker.runner.underway), fate)
        if settles:
            self.settle(self.workers.index(worker))

    def end_body(self, worker: Worker, slot: int, fate: Fate) -> None:
        global next_fate
        next_fate = fate
        if fate is Fate.REJECTS:
            self.returned[worker.runner.underway[slot].request.message.id] += 1
        worker.runner.end_body(slot)

    @rule(which=WHICH)
    def settle(self, which: int) -> None:
        worker = self.workers[which]
        if not worker.is_running:
            return
        outcomes = [*worker.consumer.claims.unsettled, *worker.runner.finished]
        current = {one.request.message.id for one in outcomes if self.is_current(one.request)}
        late = {one.request.message.id for one in outcomes} - current
        worker.settle()
        after = self.read()
        for id in late:
            assert after[id] == self.rows[id], "a claim that was over was settled"

    @precondition(lambda self: self.any(has_claims))
    @rule(which=WHICH)
    def give_back(self, which: int) -> None:
        self.one(which, has_claims).consumer.claims.give_back_unstarted()

    # -- faults

    @precondition(lambda self: self.any(has_claims))
    @rule(which=WHICH, state=st.sampled_from([DEAD, DEAD, CUT]), is_noticed=st.booleans())
    def die(self, which: int, state: int, is_noticed: bool) -> None:
        worker = self.one(which, runs_something) or self.one(which, has_claims)
        if state == CUT:
            self.returned.update(running(worker))
        worker.die(state)
        if is_noticed:
            worker.look_for_dead()

    @precondition(lambda self: self.any(runs_something))
    @rule(which=WHICH)
    def die_of_it_each_time(self, which: int) -> None:
        for _ in range(MAX_CRASHES + 1):
            if worker := self.one(which, runs_something):
                self.die(self.workers.index(worker), DEAD, is_noticed=True)
                self.nothing_is_wrong()
                self.receive_and_begin(which, 3)
                self.nothing_is_wrong()

    @precondition(lambda self: self.any(runs_something))
    @rule(which=WHICH, verdict=st.sampled_from([OVERDUE, TERMINATED]))
    def kill_because_of_a_task(self, which: int, verdict: int) -> None:
        worker = self.one(which, runs_something)
        guilty, *neighbours = running(worker)
        if verdict == TERMINATED:
            AsyncResult(guilty).revoke(terminate=True)
        worker.seat.judge(worker.seat.running()[0].slot, verdict)
        self.returned.update(neighbours)
        worker.die(DEAD)

    @precondition(lambda self: self.any(has_claims))
    @rule(which=WHICH)
    def vanish(self, which: int) -> None:
        """Its machine is gone, and another one takes its place."""
        worker = self.one(which, has_claims)
        self.vanished.add(worker.seat.owner)
        worker.leave_broker()
        self.workers[self.workers.index(worker)] = self.new_worker()

    @precondition(lambda self: self.any(has_claims))
    @rule(which=WHICH, is_back=st.booleans())
    def freeze(self, which: int, is_back: bool) -> None:
        """It is not heard of for longer than its lease, and the other one notices."""
        frozen = self.one(which, has_claims)
        self.pass_time(LONG, but=frozen)
        self.rescue(1 - self.workers.index(frozen))
        if is_back:
            frozen.lease.turn()

    # -- what comes after faults

    @rule(which=WHICH)
    def rescue(self, which: int) -> None:
        self.workers[which].look_for_dead()

    @rule(seconds=st.sampled_from([5, LONG]))
    def pass_time(self, seconds: float, but: Worker | None = None) -> None:
        while seconds > 0:
            self.time.seconds += min(seconds, 10)
            seconds -= 10
            for worker in self.workers:
                if worker is not but:
                    worker.lease.turn()

    @rule()
    def relay(self) -> None:
        broker().relay()

    @precondition(lambda self: not broker().is_embedded)
    @rule()
    def send_lost_again(self) -> None:
        lost.send_again(["default"])

    # -- operators

    @precondition(lambda self: self.rows)
    @rule(place=PLACES, terminate=st.booleans())
    def revoke(self, place: int, terminate: bool) -> None:
        AsyncResult(self.pick(place)).revoke(terminate=terminate)

    @rule()
    def purge(self) -> None:
        purge("default")

    # -- what must hold

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.time.seconds += 0.001
        before, self.rows = self.rows, self.read()
        owners = {worker.seat.owner for worker in self.workers} | self.vanished
        for id, row in self.rows.items():
            self.check_end(id, row)
            assert row["claimed_by"] is None or row["claimed_by"] in owners, "an owner that nobody knows"
            assert row["crashes"] <= MAX_CRASHES
            if id in before:
                assert row["retries"] >= before[id]["retries"], "a run is taken back"
                assert row["crashes"] >= before[id]["crashes"], "a crash is taken back"
            if row["claimed_by"] != before.get(id, {}).get("claimed_by"):
                self.claims[id] += row["claimed_by"] is not None
        assert self.ends.keys() <= self.rows.keys(), "a row is gone"
        self.check_stored()
        self.note_claims()

    def check_end(self, id: str, row: dict[str, Any]) -> None:
        if row["status"] in FINAL_STATES:
            assert row["claimed_by"] is None, "somebody owns what has ended"
            end = (row["status"], row["result"], row["finished_at"])
            assert self.ends.setdefault(id, end) == end, "a second end"
            assert row["finished_at"] is not None
        else:
            assert id not in self.ends, "an end is taken back"

    def check_stored(self) -> None:
        waiting = [
            row for row in self.rows.values() if row["claimed_by"] is None and row["id"] not in self.ends
        ]
        if broker().is_embedded:
            stored = set(stored_ids())
            assert all(row["id"] in stored for row in waiting), "a task waits without a message"
        else:
            assert all(row["awaited_at"] for row in waiting), "a task waits, and nobody looks for it"

    def note_claims(self) -> None:
        for worker in self.workers:
            for request in worker.consumer.claims.requests.values():
                self.claim_of.setdefault(id(request), (request, self.claims[request.message.id]))

    # -- the end

    def teardown(self) -> None:
        try:
            self.recover()
            self.check_that_all_is_over()
        finally:
            self.stack.close()

    def recover(self) -> None:
        """Nothing is broken any more, and all workers are at work."""
        for _ in range(30):
            if not TaskResult.objects.not_final().exists() and not any(stored_ids()):
                return
            self.pass_time(LONG)
            broker().relay()
            if not broker().is_embedded:
                lost.send_again(["default"])
            for which, worker in enumerate(self.workers):
                self.rescue(which)
                self.nothing_is_wrong()
                self.receive(which, 50)
                self.nothing_is_wrong()
                self.run_all(worker)
                self.settle(which)
                self.nothing_is_wrong()

    def run_all(self, worker: Worker) -> None:
        while True:
            for slot in list(worker.runner.underway):
                self.end_body(worker, slot, Fate.SUCCEEDS)
            if not (begun := worker.runner.begin_next()):
                return
            self.note_begun(worker, begun[1])

    def check_that_all_is_over(self) -> None:
        self.nothing_is_wrong()
        assert self.ends.keys() == self.rows.keys(), "a task has no end"
        assert not QueuedMessage.objects.exists()
        assert not TaskResult.objects.owners()
        assert not TaskGroup.objects.unfinished().exists()
        for row in TaskGroup.objects.exclude(body=""):
            body = json.loads(row.body)["options"]["task_id"]
            assert body in self.ends, "a chord without the end of its body"
            assert bool(self.begun[body]) <= (row.failed == 0), "the body ran although a part failed"

    # -- looking

    def any(self, state: Callable[[Worker], object]) -> bool:
        return any(map(state, self.workers))

    def one(self, which: int, state: Callable[[Worker], object]) -> Any:
        """The worker that is meant, or else the other one, if it is so."""
        return next(filter(state, (self.workers[which], self.workers[1 - which])), None)

    def read(self) -> dict[str, dict[str, Any]]:
        columns = (
            "id",
            "task",
            "status",
            "claimed_by",
            "retries",
            "crashes",
            "result",
            "finished_at",
            "awaited_at",
        )
        rows = TaskResult.objects.order_by("created_at", "group_index", "id").values(*columns)
        return {row["id"]: row for row in rows}

    def pick(self, place: int) -> str:
        """One of the youngest."""
        return list(self.rows)[-1 - place % len(self.rows)]

    def is_current(self, request: Request) -> bool:
        id_ = request.message.id
        return self.claim_of[id(request)][1] == self.claims[id_] and self.rows[id_]["claimed_by"] is not None


def has_claims(worker: Worker) -> bool:
    return worker.is_running and len(worker.consumer.claims) > 0


def runs_something(worker: Worker) -> bool:
    return worker.is_running and bool(worker.runner.underway)


def running(worker: Worker) -> list[str]:
    return [task.id for task in worker.seat.running()]


def stored_ids() -> Iterator[str]:
    for text in QueuedMessage.objects.values_list("payload", flat=True):
        yield json.loads(text)["headers"]["id"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600 * TIMES)
@pytest.mark.parametrize("url", ["django://", "memory://"])
def test_a_task_has_one_owner_and_one_end_whatever_happens(
    url: str, use_broker: Callable[[str], None]
) -> None:
    use_broker(url)

    run_state_machine_as_test(Lives, settings=examples(12, stateful_step_count=40))
