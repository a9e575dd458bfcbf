"""A line to the broker: one thread's connection, for what a worker does beside running tasks.

A broker that is away is told of once when it goes and once when it is back, and called again after a growing pause.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import kombu

from django_tasks import backoff
from django_tasks.brokers import connecting

logger = logging.getLogger("django_tasks.worker")

#: Seconds that AMQP's answer to a goodbye is waited for.
GOODBYE = 1.0
#: The longest pause, in seconds, before a broker that is away is called again.
LONGEST_PAUSE = 5.0


class Line:
    """`name` is what it is for, in the log. Somebody must drain it, or keep it alive, about once a second."""

    def __init__(self, connect: Callable[[], kombu.Connection], *, name: str) -> None:
        self._connect = connect
        self._name = name
        self._connection: Any = None
        self._channel: Any = None
        self.failures = 0

    @property
    def is_down(self) -> bool:
        """Did the last thing that was tried fail?"""
        return self.failures > 0

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    @property
    def connection(self) -> Any:
        self.open()
        return self._connection

    @property
    def channel(self) -> Any:
        self.open()
        return self._channel

    def open(self) -> bool:
        """True if it had to be opened: what was declared or subscribed to before is forgotten."""
        if self.is_open:
            return False
        self._connection = self._connect()
        self._connection.heartbeat = connecting.HEARTBEAT
        connecting.connect(self._connection)
        self._channel = self._connection.channel()
        return True

    def drain(self, seconds: float) -> None:
        """Take what comes for so long, and keep AMQP's heartbeat: a side that is silent is given up by the other."""
        try:
            self.connection.heartbeat_check()
            self.connection.drain_events(timeout=seconds)
        except TimeoutError as error:
            if error.errno is not None:  # not our patience's end, but the network's
                raise

    def keep_alive(self) -> None:
        """Of a connection that only sends: read the heartbeats that arrive."""
        if self.is_open and self._connection.get_heartbeat_interval():
            self.drain(0.001)

    def works(self) -> None:
        """Something went through."""
        if self.failures:
            logger.warning("The connection for %s is back", self._name)
        self.failures = 0

    def broke(self, error: BaseException) -> float:
        """Drop the connection; the seconds after which to try another one."""
        self.failures += 1
        if self.failures == 1:
            logger.warning(
                "The connection for %s failed and is tried again until it is back: %r", self._name, error
            )
        self._drop()
        return backoff.delay(self.failures, most=LONGEST_PAUSE)

    def close(self) -> None:
        """With a goodbye, but not one that waits for ever."""
        if self._connection is None:
            return
        with contextlib.suppress(Exception):
            below = self._connection._connection
            if hasattr(below, "collect"):
                below.transport.sock.settimeout(GOODBYE)
            self._connection.release()
        self._drop()

    def _drop(self) -> None:
        """Without goodbye: AMQP's waits for an answer, which a broker that is away does not give."""
        connection, self._connection, self._channel = self._connection, None, None
        with contextlib.suppress(Exception):
            below = connection._connection
            if hasattr(below, "collect"):
                below.collect()
            else:
                connection.release()
