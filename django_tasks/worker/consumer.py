"""The consumer: a task process's one thread for the broker and the database.

It settles what was run and claims what to run next. While it writes, tasks finish; all of them are in its next
write: batches form by themselves, and nothing waits for a timer.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from django.db import connections, reset_queries

from django_tasks import clock, conf, registry
from django_tasks.brokers.broker import Receiver, broker
from django_tasks.models.watch import ARRIVALS, Watch, watch
from django_tasks.service import Loop, Service, Wakeup

from .admission import admit
from .board import Seat
from .claims import SHOW_STARTED_AFTER, Claims
from .intake import Intake
from .lookahead import HORIZON, Lookahead
from .options import WorkerOptions
from .runners.runner import Runner

#: Seconds after which an idle consumer looks into its queues by itself: a notice may be lost.
LOOK_ANYWAY = 1.0
#: Seconds between looks at the board while it says that nothing may be claimed.
LEASE_PAUSE = 0.02


class Consumer(Service):
    """`lifeline` is a descriptor that becomes readable when the supervisor dies; `on_orphaned` is called then."""

    def __init__(
        self,
        *,
        options: WorkerOptions,
        seat: Seat,
        runner: Runner,
        wakeup: Wakeup,
        lifeline: int | None,
        on_orphaned: Callable[[], object],
    ) -> None:
        self.options = options
        self.board = seat.board
        self.runner = runner
        self.wakeup = wakeup
        self.lifeline = lifeline
        self.on_orphaned = on_orphaned
        self.lookahead = Lookahead(runner.slots)
        self.intake = Intake(expects_coroutines=any(task.is_async for task in registry.tasks.values()))
        self.claims = Claims(
            seat=seat, runner=runner, lookahead=self.lookahead, receiver=lambda: self.listen()[0]
        )
        self.receiver: Receiver | None = None
        self.watch: Watch | None = None
        self.may_find = True
        self.looked: float | None = None
        self.is_sure = True
        self.ending = False
        self.loop = Loop(
            self.turn,
            name="consumer",
            interval=LOOK_ANYWAY,
            wakeup=wakeup,
            wait=self.wait,
            on_error=self.reconnect,
            on_end=self.close,
        )

    # -- one turn

    def turn(self) -> float:
        reset_queries()  # with DEBUG, Django keeps the last 9,000 statements, and ours are long
        self.claims.settle()
        self.claims.give_back_refused()
        if not self.is_sure:
            self.claims.give_back_unknown()
            self.is_sure = True
        if self.ending or signal.SIGTERM in self.wakeup.signals:
            self.ending = True
            return self.wind_up()
        self.claims.submit_ripe()
        self.claims.park_late()
        if self.is_held_up():
            self.claims.give_back_unstarted()
        if self.claim() or self.runner.finished or self.claims.delayed.late:
            return 0
        if self.options.burst and self.is_done():
            self.request_end()
            return 0
        return self.pause()

    def is_held_up(self) -> bool:
        """Do claims wait behind a body that turned out to be long, while another process may be free?"""
        return self.runner.longest_running() > 2 * HORIZON and not self.runner.is_exhausted()

    def claim(self) -> bool:
        """Take on more tasks if there is room and a lease. True if there may be still more."""
        heard = self.watch is None or self.watch.changed()
        overdue = self.looked is None or clock.monotonic() - self.looked > LOOK_ANYWAY
        self.may_find = self.may_find or heard or overdue
        if not self.may_find or not self.board.has_lease():
            return False
        most = self.intake.most(
            plain=self.lookahead.room(self.claims.competing, self.runner.longest_running()),
            coroutines=self.options.concurrency - self.claims.coroutines,
        )
        return most > 0 and self.receive(most)

    def receive(self, most: int) -> bool:
        receiver, seen = self.listen()
        with receiver.receive(most) as deliveries:
            admitted = admit(deliveries, receiver, self.options.full_name, self.intake.takes)
        self.claims.add(admitted)
        self.looked = clock.monotonic()
        self.may_find = len(deliveries) == most
        seen.found(bool(deliveries))
        return self.may_find or bool(admitted.revoked)

    def listen(self) -> tuple[Receiver, Watch]:
        if self.receiver is None:
            self.receiver = Receiver(broker(), self.options.queues, self.claims.owner)
        if self.watch is None:
            self.watch = watch(connections[broker().alias], ARRIVALS)
        return self.receiver, self.watch

    # -- between turns

    def pause(self) -> float:
        """How long nothing is to be done unless something is heard."""
        pause = LOOK_ANYWAY if self.watch is None else min(LOOK_ANYWAY, self.watch.pause)
        if not self.board.has_lease():
            return min(pause, LEASE_PAUSE)
        pause = min(pause, self.claims.delayed.next_ripe(), self.intake.pause() or pause)
        return min(pause, SHOW_STARTED_AFTER) if self.claims.has_unshown() else pause

    def wait(self, seconds: float) -> None:
        watched = None if self.watch is None else self.watch.fd
        self.runner.awaited = True
        if self.runner.finished or self.runner.reported:
            return  # it came before anybody was asked to ring
        heard = self.wakeup.wait(seconds, [fd for fd in (self.lifeline, watched) if fd is not None])
        if self.lifeline is not None and self.lifeline in heard:
            self.on_orphaned()
        if self.watch is not None and not heard:
            self.watch.found(False)

    def reconnect(self, error: BaseException) -> None:
        """After any failure, replace the connections, which may be at fault, and verify what they were told."""
        self.receiver = self.watch = None
        self.may_find, self.is_sure = True, False
        for alias in {conf.current().DATABASE, broker().alias}:
            connections[alias].close()

    # -- the end

    def is_done(self) -> bool:
        """In a burst: is there nothing left to do, here or (not yet rescued) from a process that died?"""
        if self.claims or self.looked is None or self.board.dead_seats():
            return False
        return broker().is_empty(self.options.queues)

    def request_end(self) -> None:
        """Claim nothing more, give back what has not begun, and end when what runs has ended."""
        self.ending = True
        self.wakeup.ring()

    def wind_up(self) -> float:
        self.claims.give_back_unstarted()
        if self.claims:
            return min(self.pause(), SHOW_STARTED_AFTER)
        self.runner.finish()
        self.loop.request_stop()
        return 0

    def close(self) -> None:
        if self.receiver is not None:
            self.receiver.close()
        connections.close_all()

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.request_end()
        if self.loop.thread is not None:
            self.loop.thread.join()
