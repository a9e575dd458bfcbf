"""Workers of which every move is made by the test, in one process: their loops never turn, and no body runs by itself.

What moves is the product: its consumer claims and settles, its board is judged, its housekeeper's lease and rescue take
their turns. Time stands still between the moves.
"""

from __future__ import annotations

import datetime as dt
import queue
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Request
from django_tasks.service import Wakeup
from django_tasks.worker.admission import admit
from django_tasks.worker.board import DEAD, FREE, Board
from django_tasks.worker.consumer import Consumer
from django_tasks.worker.lease import Lease
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.rescue import Rescue
from django_tasks.worker.retirement import Retirement
from django_tasks.worker.runners.threads import ThreadsRunner

SLOTS = 2
BEGINNING = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


class Time:
    """All that the product can ask for the time; it passes when told."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> dt.datetime:
        return BEGINNING + dt.timedelta(seconds=self.seconds)

    @contextmanager
    def rules(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clock, "now", self.now)
            patch.setattr(clock, "monotonic", lambda: self.seconds)
            patch.setattr(clock, "_server_epoch", lambda connection: self.now().timestamp())
            patch.setattr(clock, "_offsets", {})
            yield


class ByHand(ThreadsRunner):
    """Bodies begin and end when they are told to."""

    def begin_next(self) -> tuple[int, Request] | None:
        """The slot in which the next request has begun; `None` if there is no slot, no request, or no lease."""
        free = [slot for slot in range(self.slots) if slot not in self.underway]
        if not free:
            return None
        try:
            request = self._waiting.get_nowait()
        except queue.Empty:
            return None
        assert request is not None
        return (free[0], request) if self.begin(free[0], request) else None

    def end_body(self, slot: int) -> None:
        """Only now it is called: whoever tells it to end says how."""
        self.end(slot, execute(self.underway[slot].request))


class Unheard(Retirement):
    def announce(self) -> None:
        """There is no supervisor to hear of it."""


class Worker:
    """One `runworker` with one task process."""

    def __init__(self, bell: Wakeup) -> None:
        self.bell = bell
        self.options = WorkerOptions(queues=("default",), processes=1, threads=SLOTS, concurrency=0)
        self.board = Board(1, SLOTS, uuid.uuid4().hex, self.options.queues)
        self.board.pauses.set(())
        (self.seat,) = self.board.seats
        self.lease = Lease(board=self.board, options=self.options, pid=1)
        self.rescue = Rescue(board=self.board, options=self.options, lease=self.lease)
        self.serial = 0
        self.lease.turn()
        self.fork()

    def fork(self) -> None:
        """A new task process takes the seat."""
        self.serial += 1
        self.seat.take(self.serial)
        self.seat.sit(1)
        retirement = Unheard(self.options, self.seat)
        self.runner = ByHand(seat=self.seat, slots=SLOTS, done=self.bell, retirement=retirement)
        self.consumer = Consumer(
            options=self.options,
            seat=self.seat,
            runner=self.runner,
            wakeup=self.bell,
            lifeline=None,
            on_orphaned=lambda: None,
        )
        self.consumer.heed_pauses()
        self.consumer.lookahead.expected = 0.1  # so that it claims more than it begins

    def close(self) -> None:
        """Its bell for deaths, of which a real worker has one for life."""
        self.board.deaths.close()

    @property
    def is_running(self) -> bool:
        return self.seat.state not in (DEAD, FREE)

    # -- what its task process does

    def receive(self, limit: int) -> None:
        if self.may_receive() and (most := self.consumer._most()):
            self.consumer.receive(min(limit, most))

    def receive_unconfirmed(self, limit: int) -> None:
        """The claim is committed, but the answer to that does not arrive."""
        if self.may_receive():
            receiver = self.consumer.listen()
            with receiver.receive(limit) as deliveries:
                admit(deliveries, receiver, self.options.full_name)
            self.consumer.reconnect(ConnectionError("lost"))

    def may_receive(self) -> bool:
        return self.board.has_lease() and not self.consumer.retires()

    def settle(self) -> None:
        """What a turn begins with, or all there is to it if another process takes its place."""
        claims = self.consumer.claims
        claims.settle()
        claims.give_back_refused()
        if not self.consumer.is_sure:
            claims.give_back_unknown()
            self.consumer.is_sure = True
        if self.consumer.retires():
            self.consumer.wind_up()
            if not claims:
                self.leave_broker()
                self.fork()

    def die(self, state: int) -> None:
        """The task process is gone, and the supervisor has noticed. Its broker has, too."""
        self.leave_broker()
        self.seat.mark(state)

    def leave_broker(self) -> None:
        if self.consumer.receiver is not None and not broker().is_embedded:
            self.consumer.receiver.close()
        self.consumer.receiver = None

    # -- what its housekeeper does

    def look_for_dead(self) -> None:
        """The housekeeper takes care of the dead, and the supervisor replaces them."""
        for seat in self.board.dead_seats():
            self.rescue.clear(seat)
        self.rescue.rescue_lost_workers()
        if self.seat.state == FREE:
            self.fork()
