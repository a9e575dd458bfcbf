"""The consumer: a task process's one thread for the broker and the database.

It settles what was run and claims what to run next. While it writes, tasks finish; all of them are in its next
write: batches form by themselves, and nothing waits for a timer.
"""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Callable, Sequence

from django.db import InterfaceError, connections, reset_queries
from django.db import OperationalError as DatabaseAway

from django_tasks import clock, conf, registry
from django_tasks.brokers.broker import Delivery, Holder, Receiver
from django_tasks.brokers.handler import broker
from django_tasks.message.message import Envelope
from django_tasks.service import Loop, Service, Wakeup

from .admission import Admitted, admit
from .board import FINE, Seat
from .claims import SHOW_STARTED_AFTER, Claims
from .intake import Intake
from .lookahead import HORIZON, Lookahead
from .options import WorkerOptions
from .runners.runner import Runner
from .trouble import trouble_of

logger = logging.getLogger("django_tasks.worker")

#: The longest pause of an idle consumer, in seconds. How often it looks into its queues by itself its receiver says.
LONGEST_IDLE = 1.0
#: Seconds after which a process that has no room gives back what its broker has sent it ahead.
HOARD = 1.0
#: The longest pause, in seconds, after failures in a row: it is at work again soon after what was away is back.
LONGEST_PAUSE = 2.0
#: Seconds for which a process lets each of the idle ones go first, and all of them at the most. All are told of a
#: message: if those that are idle run for it together each is slow, and with one that is busy it would wait.
GO_FIRST, ALL_GO_FIRST = 0.005, 0.02
#: Not one that has had something to do so many seconds ago: where much comes, there is something for each.
SPELL = 0.1
#: Seconds between looks at the board while it says that nothing may be claimed, or not yet from which queues.
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
        self.seat = seat
        self.board = seat.board
        self.runner = runner
        self.retirement = runner.retirement
        self.wakeup = wakeup
        self.lifeline = lifeline
        self.on_orphaned = on_orphaned
        self.lookahead = Lookahead(runner.slots, self.board.expected)
        self.intake = Intake(expects_coroutines=any(task.is_async for task in registry.tasks.values()))
        self.claims = Claims(seat=seat, runner=runner, lookahead=self.lookahead, holder=self.holder)
        self.receiver: Receiver | None = None
        #: How many messages are to be received one by one, and the one that has failed alone, with what it has done.
        self.careful = 0
        self.culprit: tuple[Envelope, str] | None = None
        #: The queues that are not paused; `None` while that is not known.
        self.queues: tuple[str, ...] | None = None
        self.may_find = True
        self.looked: float | None = None
        #: When the latest look that found something ended.
        self.found = -math.inf
        self.is_sure = True
        self.ending = False
        #: Is it ending so that another takes its place?
        self.retiring = False
        self.loop = Loop(
            self.turn,
            name="consumer",
            interval=LONGEST_IDLE,
            wakeup=wakeup,
            wait=self.wait,
            on_error=self.reconnect,
            on_end=self.close,
            longest=LONGEST_PAUSE,
        )

    # -- one turn

    def turn(self) -> float:
        reset_queries()  # with DEBUG, Django keeps the last 9,000 statements, and ours are long
        self.claims.settle()
        self.claims.give_back_refused()
        if not self.is_sure:
            self.claims.give_back_unknown()
            self.is_sure = True
        if self.ending or signal.SIGTERM in self.wakeup.signals or self.retires():
            self.ending = True
            return self.wind_up()
        self.claims.submit_ripe()
        self.claims.park_late()
        if self.is_held_up():
            self.claims.give_back_unstarted()
        may_find = self.claim()
        if self.queues is not None and self.board.has_lease():
            self.seat.note_receiving()
        if may_find or self.runner.finished or self.claims.delayed.late:
            return 0
        if self.options.burst and self.is_done():
            self.request_end()
            return 0
        return self.pause()

    def retires(self) -> bool:
        """Has this process done its part?"""
        self.retiring = self.retirement.is_due()
        return self.retiring

    def is_held_up(self) -> bool:
        """Do claims wait behind a body that turned out to be long, while another process may be free?"""
        return self.runner.longest_running() > 2 * HORIZON and not self.runner.is_exhausted()

    def claim(self) -> bool:
        """Take on more tasks if there is room and a lease. True if there may be still more."""
        self.heed_pauses()
        if self.receiver is not None:
            self.receiver.keep_alive()
        self.may_find = (
            self.may_find or self.receiver is None or self.receiver.has_news() or self.is_overdue()
        )
        if not (self.may_find and self.queues and self.board.has_lease()):
            return False
        most = self._most()
        if most > 0:
            return self.receive(most)
        if self.seat.trouble:
            self.listen()
            self.note_recovery()
        if self.receiver is not None and self.looked is not None and clock.monotonic() - self.looked > HOARD:
            self.receiver.rest()
        return False

    def is_overdue(self) -> bool:
        """Was so long nothing heard that it is time to look by itself? A notice may be lost."""
        if self.receiver is None or self.looked is None:
            return True
        return clock.monotonic() - self.looked > self.receiver.patience

    def _most(self) -> int:
        plain = self.lookahead.room(self.claims.competing, self.runner.longest_running())
        coroutines = self.options.concurrency - self.claims.coroutines
        claimed = len(self.claims)
        return self.intake.most(
            plain=self.retirement.room(plain, claimed), coroutines=self.retirement.room(coroutines, claimed)
        )

    def heed_pauses(self) -> None:
        """Listen to the queues that are not paused. What was claimed stays claimed, and runs."""
        queues = self.board.pauses.open()
        if queues == self.queues:
            return
        if self.receiver is not None:
            self.receiver.listen_to(queues or ())
        self.queues = queues
        self.may_find = True

    def receive(self, most: int) -> bool:
        receiver = self.listen()
        limit = 1 if self.careful else most
        with receiver.receive(limit) as deliveries:
            admitted = self.admit(deliveries, receiver)
        self.claims.add(admitted)
        self.looked = clock.monotonic()
        self.may_find = len(deliveries) == limit
        if deliveries:
            self.found = self.looked
        receiver.found(bool(deliveries))
        self.note_recovery()
        return self.may_find or bool(admitted.revoked)

    def admit(self, deliveries: Sequence[Delivery], receiver: Receiver) -> Admitted:
        """A message that nobody foresaw must not hold up the others: what fails together is tried one by one."""
        # Another process may have it by now, and what comes here instead is innocent.
        if deliveries and self.culprit is not None and deliveries[0].envelope == self.culprit[0]:
            receiver.set_aside(deliveries[0], f"It cannot be admitted: {self.culprit[1]}")
            self.culprit = None
            return Admitted()
        try:
            admitted = admit(deliveries, receiver, self.options.full_name, self.intake.takes)
        except (DatabaseAway, InterfaceError):
            raise  # no message's fault
        except Exception as error:
            self.culprit = (deliveries[0].envelope, repr(error)) if len(deliveries) == 1 else None
            self.careful = max(self.careful, len(deliveries))
            raise
        self.careful = max(0, self.careful - 1) if deliveries else 0
        # Before it is committed: a process that dies from then on has not begun what it has claimed.
        self.runner.disown({request.message.id for request in admitted.requests if request.tracked})
        return admitted

    def note_recovery(self) -> None:
        if self.seat.trouble:
            self.seat.complain(FINE)
            logger.warning("Process %d receives again", os.getpid())

    def holder(self) -> Holder:
        """What has ended is settled whether or not the broker is there."""
        return self.receiver or broker().holder(self.claims.owner) or self.listen()

    def listen(self) -> Receiver:
        if self.receiver is None:
            self.receiver = broker().receiver(self.queues or (), self.claims.owner)
        return self.receiver

    # -- between turns

    def pause(self) -> float:
        """How long nothing is to be done unless something is heard."""
        pause = LONGEST_IDLE if self.receiver is None else min(LONGEST_IDLE, self.receiver.pause)
        if self.queues is None or not self.board.has_lease():
            return min(pause, LEASE_PAUSE)
        pause = min(pause, self.claims.delayed.next_ripe(), self.intake.pause() or pause)
        return min(pause, SHOW_STARTED_AFTER) if self.claims.has_unshown() else pause

    def wait(self, seconds: float) -> None:
        self.runner.awaited = True
        if self.runner.finished or self.runner.reported or self.runner.refused or self.has_heard():
            return  # it came before anybody was asked to ring
        lifelines = [] if self.lifeline is None else [self.lifeline]
        heard = self.wakeup.wait(seconds, [*lifelines, *self.ears()])
        if self.lifeline is not None and self.lifeline in heard:
            self.on_orphaned()
        if self.receiver is not None and not heard:
            self.receiver.found(False)
        elif self.receiver is not None and self.receiver.is_told_to_all:
            self.let_others_go_first(self.receiver)

    def has_heard(self) -> bool:
        """Was there a sign since the latest look began? PostgreSQL's answers bring notices along, of which no
        descriptor tells any more; what they are about may have been committed just after the look."""
        if self.receiver is None or not (self.receiver.is_told_to_all and self.ears()):
            return False
        self.may_find = self.receiver.has_news()
        return self.may_find

    def let_others_go_first(self, receiver: Receiver) -> None:
        before = self.board.idle_before(self.seat)
        receiver.is_hopeful = not before
        if before and clock.monotonic() - self.found > SPELL:
            self.wakeup.wait(min(before * GO_FIRST, ALL_GO_FIRST))

    def ears(self) -> Sequence[int]:
        """What is known to be there need not be heard of, nor what nobody will look at: it would end every pause."""
        if self.receiver is None or self.may_find or self.ending:
            return ()
        return self.receiver.fds

    def reconnect(self, error: BaseException) -> None:
        """After any failure, replace the connections, which may be at fault, and verify what they were told."""
        if self.receiver is not None and not self.receiver.survives(error):
            self.receiver.abandon()
            self.receiver = None
        self.may_find, self.is_sure = True, False
        self.seat.complain(trouble_of(error))
        for alias in {conf.current().DATABASE, broker().alias}:
            connections[alias].close()

    # -- the end

    def is_done(self) -> bool:
        """In a burst: is there nothing left to do, here or (not yet rescued) from a process that died?"""
        if self.claims or self.board.dead_seats() or self.queues is None:
            return False
        if self.queues and self.looked is None:
            return False
        return self.listen().is_drained()

    def request_end(self) -> None:
        """Claim nothing more, give back what has not begun, and end when what runs has ended."""
        self.ending = True
        self.wakeup.ring()

    def wind_up(self) -> float:
        if self.receiver is not None:
            self.receiver.rest()
        self.claims.give_back_unstarted()
        self.seat.note_receiving()  # it does not, but it has not fallen silent: a last task may take hours
        if self.retiring and self.runner.has_idle_slot():
            self.retirement.announce()
        if self.claims:
            # What comes of them rings.
            return SHOW_STARTED_AFTER if self.claims.has_unshown() else LONGEST_IDLE
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
