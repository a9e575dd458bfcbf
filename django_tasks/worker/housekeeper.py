"""The housekeeper: everything a worker does with the database that is not running tasks."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Callable
from typing import Any

from django.db import connections, reset_queries

from django_tasks import clock, conf, signals
from django_tasks.brokers.handler import broker
from django_tasks.models import FailureTally
from django_tasks.models.batches import MOST_ROWS
from django_tasks.results import retention
from django_tasks.service import Loop, Service, Wakeup, running

from . import commands, control, line, lost, relay, rollups, stops
from .board import ALIVE, DEAD, Board
from .events.of_tasks import TaskEvents
from .events.of_worker import Heart
from .events.sender import EventSender
from .health import longest_silence
from .lease import Lease
from .options import WorkerOptions
from .pidbox import Pidbox
from .rescue import Rescue
from .trouble import Trouble, trouble_of

logger = logging.getLogger("django_tasks.worker")

#: How often, in seconds, it is asked whether a broker has lost something.
LOST_INTERVAL = 10.0
#: How often, in seconds, the board is asked whether the task processes receive; a change of that is written at once.
TROUBLE_INTERVAL = 1.0
#: How often, in seconds, expired results are looked for. If there are many, a batch follows the other.
RETENTION_INTERVAL = 60.0
#: The longest pause, in seconds, after failures in a row: it is at work again soon after what was away is back.
LONGEST_PAUSE = 2.0
#: How long orphaned task processes have to end by themselves.
ORPHANS_END_WITHIN = 10.0


class Housekeeper:
    """Loops, each in a thread with a connection of its own, so that a slow one does not delay the lease."""

    def __init__(
        self, *, options: WorkerOptions, board: Board, pid: int, lifeline: int | None = None
    ) -> None:
        self.name = options.full_name
        self.queues = options.queues
        self.board = board
        self.lifeline = lifeline
        self.wakeup = Wakeup()
        self.ending = False
        self.lease = Lease(board=board, options=options, pid=pid)
        self.rescue = Rescue(board=board, options=options, lease=self.lease)
        self.control = control.Control(board=board, options=options, supervisor=pid)
        self.relay = relay.Relay()
        self.trouble = Trouble(board)
        self.rollups = rollups.Rollups()
        board.pulses.clear()
        self.loops: list[Service] = [
            self._loop("lease", self.lease.turn, self.lease.span / 3),
            self._loop(
                "relay",
                self.relay.turn,
                relay.LOOK_ANYWAY,
                wakeup=self.relay.wakeup,
                wait=self.relay.wait,
            ),
            self._loop("lost", self.send_lost_again, LOST_INTERVAL),
            self._loop(
                "control",
                self.control.turn,
                control.LISTEN_AGAIN,
                wakeup=self.control.wakeup,
                wait=self.control.wait,
            ),
            self._loop("trouble", self.tell_of_trouble, TROUBLE_INTERVAL),
            self._loop("rescue", self.rescue.turn, self.lease.span / 6, wakeup=board.deaths),
            self._loop("retention", self.delete_expired, RETENTION_INTERVAL),
            self._loop("figures", self.add_up, rollups.INTERVAL),
            *(self._for_monitors() if options.events else ()),
        ]

    def _loop(self, name: str, turn: Callable[[], float | None], interval: float, **how: Any) -> Loop:
        beat = self.board.pulses.enrol(name, longest_silence(interval))

        def frugal_turn() -> float | None:
            reset_queries()  # with DEBUG, Django would keep thousands of statements
            pause = turn()
            beat()
            return pause

        def on_error(error: BaseException) -> None:
            beat(trouble_of(error))
            connections.close_all()

        how = {"on_error": on_error, "on_end": connections.close_all, **how}
        return Loop(frugal_turn, name=name, interval=interval, longest=LONGEST_PAUSE, **how)

    def _for_monitors(self) -> list[Service]:
        """What Flower and Celery's own tools hear of this worker, and ask of it."""
        shared = self.board.events
        sender = EventSender(
            connect=broker().connect, hostname=self.name, pid=shared.pid, clock=shared.clock(0)
        )
        heart = Heart(sender, self.board)
        pidbox = Pidbox(
            connect=broker().connect,
            hostname=self.name,
            run=commands.run,
            worker=self.control.addressee,
            shared=shared,
            clock=sender.clock,
            heart=heart,
        )
        # Tasks do not run here, but here it is decided whether anybody is told of those whose process died.
        told = [sender, TaskEvents(sender, shared), heart]
        # It turns at once; only a broker that is away makes it pause, and it may be silent for that.
        return [*told, self._loop("remote control", pidbox.turn, line.LONGEST_PAUSE, on_end=pidbox.close)]

    def send_lost_again(self) -> None:
        if conf.current().is_apart:
            lost.send_again(self.queues)

    def tell_of_trouble(self) -> None:
        self.trouble.turn()
        connections.close_all()  # it writes so rarely that it keeps no connection for that

    def add_up(self) -> float | None:
        """What ended: all of it in its figures, and the failures by their kind."""
        pause = self.rollups.turn()  # first, as it has to notice itself that the database was away
        noted = FailureTally.objects.using(conf.current().DATABASE).count_in()
        return retention.PAUSE if noted == MOST_ROWS else pause

    def delete_expired(self) -> float | None:
        """A batch of each kind; of one that is full there may be more."""
        deleted = (
            retention.prune(),
            retention.prune_commands(),
            retention.prune_workers(),
            retention.prune_pauses(),
            retention.prune_failures(),
        )
        return retention.PAUSE if max(deleted) >= retention.BATCH else None

    def run(self) -> None:
        """Until SIGTERM, or until the supervisor is dead; then rescue what is left and say goodbye."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.request_end())
        stops.hear()
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
            for seat in [seat for seat in living if _is_over(seat.pid)]:
                seat.mark(DEAD)
                living.remove(seat)
            if living:
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


def _is_over(pid: int) -> bool:
    """Nobody may ever take note of it: the first process of a container need not know how to bury others' children."""
    try:
        process = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return True
    except OSError:  # a sandbox that knows no such call
        process = None
    if process is None:
        return _is_unknown(pid)
    try:
        return bool(select.select([process], [], [], 0)[0])
    finally:
        os.close(process)


def _is_unknown(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
