"""The relay: delivers stored messages when they are due, and sleeps until the next one is or a sooner one is stored."""

from __future__ import annotations

from django.db import connections

from django_tasks import clock
from django_tasks.brokers.broker import MOST_RELAYED
from django_tasks.brokers.handler import broker
from django_tasks.models.watch import ARRIVALS, PARKED, Watch, watch
from django_tasks.service import Wakeup

#: Seconds between looks where the database gives no sign: nothing is later than that and the time it takes, a second
#: in all.
LOOK_UNTOLD = 0.75
#: The same where it does: a sign may be lost.
LOOK_ANYWAY = 5.0
#: Seconds between looks while something was due: where one was, the next one seldom is far.
AT_WORK = 0.1
#: Seconds after a look, at the most, in which nothing is listened to: each commit of anybody is a sign on SQLite.
SHORTEST_PAUSE = 0.5


class Relay:
    def __init__(self) -> None:
        self.wakeup = Wakeup()
        #: When the next message is due, or one may be, in monotonic time.
        self.look_at = float("-inf")
        self.is_listening = False
        self._watch: Watch | None = None

    def turn(self) -> float:
        """Short whatever is due, so that the loop is seen to turn."""
        self.is_listening = not self.watch.changed() and clock.monotonic() < self.look_at
        if self.is_listening:
            return min(max(self.watch.pause, SHORTEST_PAUSE), self.look_at - clock.monotonic())
        self.look_at = float("-inf")  # also if it fails now
        if moved := broker().relay():
            return 0 if moved >= MOST_RELAYED else AT_WORK
        if not self.watch.gives_signs:
            return LOOK_UNTOLD
        pause = broker().next_due(LOOK_ANYWAY)
        self.look_at = clock.monotonic() + pause
        return min(
            max(pause, AT_WORK), SHORTEST_PAUSE
        )  # what another relay is about to deliver is due all the time

    @property
    def watch(self) -> Watch:
        connection = connections[broker().alias]
        if self._watch is None or not self._watch.is_of(connection):
            # What arrives in the database is for its consumers, unless the broker is elsewhere: then it goes there.
            topics = (PARKED,) if broker().is_embedded else (PARKED, ARRIVALS)
            self._watch = watch(connection, *topics)
        return self._watch

    def wait(self, seconds: float) -> None:
        """Until something may be due sooner."""
        ear = self.watch.fd if self.is_listening else None
        if not self.wakeup.wait(seconds, [] if ear is None else [ear]):
            self.watch.found(False)
