"""The housekeeper: everything a worker does with the database that is not running tasks."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable

from django.db import connections, reset_queries

from django_tasks import clock, signals
from django_tasks.brokers.broker import broker
from django_tasks.results import retention
from django_tasks.service import Loop, Wakeup, running

from .board import ALIVE, DEAD, Board
from .control import Control
from .lease import Lease
from .options import WorkerOptions
from .rescue import Rescue

logger = logging.getLogger("django_tasks.worker")

#: How often, in seconds, due messages are delivered: nothing is later than that.
RELAY_INTERVAL = 1.0
#: How often, in seconds, it is asked whether somebody wants something of this worker.
CONTROL_INTERVAL = 1.0
#: How often the board is looked at for dead processes; a look is a few bytes of memory.
BOARD_INTERVAL = 0.25
#: How often, in seconds, expired results are looked for. If there are many, a batch follows the other.
RETENTION_INTERVAL = 60.0
#: How long orphaned task processes have to end by themselves.
ORPHANS_END_WITHIN = 10.0


class Housekeeper:
    """Loops, each in a thread with a connection of its own, so that a slow one does not delay the lease."""

    def __init__(
        self, *, options: WorkerOptions, board: Board, pid: int, lifeline: int | None = None
    ) -> None:
        self.name = options.full_name
        self.board = board
        self.lifeline = lifeline
        self.wakeup = Wakeup()
        self.ending = False
        self.lease = Lease(board=board, options=options, pid=pid)
        self.rescue = Rescue(board=board, options=options, lease=self.lease)
        self.control = Control(board=board, supervisor=pid)
        self.loops = [
            self._loop("lease", self.lease.turn, self.lease.span / 3),
            self._loop("relay", self.relay, RELAY_INTERVAL),
            self._loop("control", self.control.turn, CONTROL_INTERVAL),
            self._loop("rescue", self.rescue.turn, BOARD_INTERVAL),
            self._loop("retention", self.delete_expired, RETENTION_INTERVAL),
        ]

    def _loop(self, name: str, turn: Callable[[], float | None], interval: float) -> Loop:
        def frugal_turn() -> float | None:
            reset_queries()  # with DEBUG, Django would keep thousands of statements
            return turn()

        return Loop(
            frugal_turn,
            name=name,
            interval=interval,
            on_error=lambda _: connections.close_all(),
            on_end=connections.close_all,
        )

    def relay(self) -> None:
        broker().wake_due()

    def delete_expired(self) -> float | None:
        return retention.PAUSE if retention.prune() == retention.BATCH else None

    def run(self) -> None:
        """Until SIGTERM, or until the supervisor is dead; then rescue what is left and say goodbye."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.request_end())
        with running(self.loops):
            signals.worker_ready.tell(self.name)
            self.wait_for_end()
        self.say_goodbye()
        signals.worker_shutdown.tell(self.name)

    def wait_for_end(self) -> None:
        lifelines = [] if self.lifeline is None else [self.lifeline]
        while not self.ending:
            if self.wakeup.wait(None, lifelines):
                logger.error("The supervisor died; the housekeeper tidies up and ends")
                self.bury_orphans()
                return

    def request_end(self) -> None:
        self.ending = True
        self.wakeup.ring()

    def bury_orphans(self) -> None:
        """The task processes end by themselves when the supervisor is dead; then their seats are judged."""
        ends = clock.monotonic() + ORPHANS_END_WITHIN
        living = [seat for seat in self.board.seats if seat.state == ALIVE]
        while living and clock.monotonic() < ends:
            for seat in [seat for seat in living if not _exists(seat.pid)]:
                seat.mark(DEAD)
                living.remove(seat)
            self.wakeup.wait(0.05)

    def say_goodbye(self) -> None:
        """Rescue the last dead and leave the table, unless somebody of ours still lives: then the lease decides."""
        try:
            for seat in self.board.dead_seats():
                self.rescue.clear(seat)
            if not self.board.living_owners():
                self.lease.end()
        finally:
            connections.close_all()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
