"""Sending events: what monitors such as Flower hear of a worker, in the format of Celery's events.

Whoever has something to tell puts it into a buffer and goes on. A thread of its own sends what is there; while it does,
more comes, which goes out together. While the broker is away the oldest events are dropped: a monitor that is told late
is told nothing, and no task waits for it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import kombu

from django_tasks import clock
from django_tasks.service import Loop, Service
from django_tasks.worker.line import Line

from .shared import Clock

logger = logging.getLogger("django_tasks.worker")

Event = dict[str, Any]

EXCHANGE = "celeryev"
#: Events kept while they cannot be sent.
MOST_WAITING = 4096
#: Events in one message.
MOST_TOGETHER = 100
#: Seconds after which an idle connection is looked after.
KEEP_ALIVE_INTERVAL = 1.0
#: Seconds that the end of a process may be delayed by what is still to be sent.
LAST_WORDS = 2.0
#: The transports on which Celery's monitors listen at a fan-out exchange; on all others at a topic exchange.
_FANNED_OUT = frozenset({"redis", "gcpubsub"})


class EventSender(Service):
    """One process's. `hostname` is the worker's name, `pid` its process id."""

    def __init__(
        self, *, connect: Callable[[], kombu.Connection], hostname: str, pid: int, clock: Clock
    ) -> None:
        self.hostname = hostname
        self.pid = pid
        self.clock = clock
        self.line = Line(connect, name="events")
        self.loop = Loop(self.turn, name="events", interval=KEEP_ALIVE_INTERVAL, on_end=self.say_the_last)
        self._waiting: deque[Event] = deque()
        self._putting = threading.Lock()
        self._dropped = 0
        self._producer: kombu.Producer | None = None

    def send(self, type: str, **fields: Any) -> None:
        """Have it sent soon. Never waits and never fails."""
        event = {
            "type": type,
            "hostname": self.hostname,
            "pid": self.pid,
            "utcoffset": _utcoffset(),
            "timestamp": clock.now().timestamp(),
            **fields,
        }
        with self._putting:
            event["clock"] = self.clock.tick()
            is_first = not self._waiting
            self._waiting.append(event)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
        if is_first:
            self.loop.wakeup.ring()

    # -- in its own thread

    def turn(self) -> float | None:
        """Send what waits."""
        try:
            if self.line.is_down:
                self.producer()  # or with nothing to send it would be taken for one that works
            self.line.keep_alive()
            self.flush()
        except Exception as error:  # noqa: BLE001 - each transport has its own
            self._producer = None
            return self.line.broke(error)
        return None

    def flush(self) -> None:
        while events := self._taken():
            try:
                for together in _messages(events):
                    self.publish(together)
                    del events[: len(together)]
            except BaseException:
                self._put_back(events)
                raise
        self.line.works()
        if self._dropped:
            logger.warning("%d events were dropped while the broker was away", self._dropped)
            self._dropped = 0

    def publish(self, events: list[Event]) -> None:
        """Events of tasks go as a list, those of the worker one by one."""
        of_tasks = _is_of_task(events[0])
        self.producer().publish(
            events if of_tasks else events[0],
            exchange=EXCHANGE,
            routing_key="task.multi" if of_tasks else events[0]["type"].replace("-", "."),
            serializer="json",
            headers={"hostname": self.hostname},
            delivery_mode=1,
            retry=False,
        )

    def producer(self) -> kombu.Producer:
        if self.line.open() or self._producer is None:
            kind = "fanout" if self.line.connection.transport.driver_type in _FANNED_OUT else "topic"
            exchange = kombu.Exchange(EXCHANGE, type=kind)
            exchange(self.line.channel).declare()
            self._producer = kombu.Producer(self.line.channel, auto_declare=False)
        return self._producer

    def _taken(self) -> list[Event]:
        with self._putting:
            events = list(self._waiting)
            self._waiting.clear()
        return events

    def _put_back(self, events: list[Event]) -> None:
        with self._putting:
            dropped = max(0, len(events) + len(self._waiting) - MOST_WAITING)
            self._dropped += dropped
            self._waiting.extendleft(reversed(events[dropped:]))

    def say_the_last(self) -> None:
        if not self.line.is_down:
            with contextlib.suppress(Exception):
                self.flush()
        self.line.close()

    # -- as a service

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        """Not for long: the broker may be away, and the worker is not to wait for it."""
        self.loop.request_stop()
        if self.loop.thread is not None:
            self.loop.thread.join(LAST_WORDS)


def _messages(events: list[Event]) -> Iterator[list[Event]]:
    """Neighbours that travel together."""
    for of_tasks, run in itertools.groupby(list(events), key=_is_of_task):
        neighbours = list(run)
        size = MOST_TOGETHER if of_tasks else 1
        for start in range(0, len(neighbours), size):
            yield neighbours[start : start + size]


def _is_of_task(event: Event) -> bool:
    return str(event["type"]).startswith("task-")


def _utcoffset() -> float:
    """Hours by which UTC is ahead of this process's zone: Celery's monitors undo it with their own."""
    return (time.altzone if time.localtime().tm_isdst else time.timezone) / 3600
