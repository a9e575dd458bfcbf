"""The embedded broker: a kombu transport whose queues are rows of `QueuedMessage`.

`django://` uses the database of the tasks, `django://alias` another one. It is an ordinary kombu transport, for
ordinary producers and consumers: a message taken but not acknowledged belongs to its consumer until it is, or until
`visibility_timeout` (a transport option, seconds, default one hour as with kombu's Redis transport) has passed.
Our own worker does better: inside `Channel.batch` taking and acknowledging are one transaction with what it does
meanwhile, and its claims are guarded by its lease instead of a timeout.

The exchanges and bindings of `TASK_QUEUES` hold everywhere. Others are known to the process that declared them only,
and cannot be of type fanout; an exchange without known bindings delivers to the queue named by the routing key.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import deque
from typing import Any

import django
from django.db import Error, InterfaceError, OperationalError, connections
from kombu.transport import virtual

from django_tasks import clock
from django_tasks.models.watch import ARRIVALS, Watch, watch

from . import channel as channels
from .channel import Taken
from .embedded import alias_of

#: Seconds after which an idle consumer looks by itself, heard or not.
LOOK_ANYWAY = 1.0


class Transport(virtual.Transport):  # type: ignore[misc]
    """What kombu opens for `django://`. Like any kombu connection it is for one thread at a time."""

    Channel = channels.Channel
    default_port = None
    driver_type = "django"
    driver_name = "django"
    connection_errors = (*virtual.Transport.connection_errors, OperationalError, InterfaceError)

    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset(["direct", "topic"]), heartbeats=False
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        #: Who holds what is taken here, of whichever channel; our worker puts its own name here.
        self.owner = uuid.uuid4().hex
        #: Taken together, to be delivered one by one.
        self._taken: deque[tuple[channels.Channel, Taken]] = deque()
        self._watch: Watch | None = None
        self._woke = float("-inf")

    @property
    def alias(self) -> str:
        """The Django database alias that the URL names, or that of the tasks."""
        return alias_of(self.client.hostname)

    @property
    def default_connection_params(self) -> dict[str, Any]:
        return {"port": None, "hostname": None}

    def driver_version(self) -> str:
        return django.get_version()

    # -- delivering

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message to its consumer's callback; raises `TimeoutError` if none comes in time."""
        ends = None if timeout is None else clock.monotonic() + timeout
        while not self._taken and not self._take():
            left = None if ends is None else ends - clock.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self._wait(LOOK_ANYWAY if left is None else min(left, LOOK_ANYWAY))
        self._deliver_next()

    def _take(self) -> bool:
        for channel in list(self.channels):
            self._taken.extend((channel, taken) for taken in channel.take())
        if self._taken and self._watch is not None:
            self._watch.found(True)
        return bool(self._taken)

    def _deliver_next(self) -> None:
        channel, taken = self._taken.popleft()
        if taken.queue in channel.no_ack:
            channel.settle([taken.tag])
        self._deliver(taken.message, taken.queue)

    def recall(self, channel: channels.Channel, queue: str | None = None) -> list[int]:
        """What was taken for a channel (of one queue) and not delivered, and will not be; by delivery tag."""
        recalled = [
            (taker, taken)
            for taker, taken in self._taken
            if taker is channel and queue in (None, taken.queue)
        ]
        for one in recalled:
            self._taken.remove(one)
        return [taken.tag for _, taken in recalled]

    # -- waiting

    def _wait(self, seconds: float) -> None:
        """Until something may have come, `seconds` at the most."""
        connection = connections[self.alias]
        if self._watch is None or not self._watch.is_of(connection):
            self._watch = watch(connection, ARRIVALS)
        self._watch.wait(seconds)
        # Beside foreign consumers there may be no worker of ours to do it.
        if self.channels and clock.monotonic() - self._woke >= LOOK_ANYWAY:
            self.channels[0].wake_due()
            self._woke = clock.monotonic()

    def close_connection(self, connection: Any) -> None:
        super().close_connection(connection)
        with contextlib.suppress(Error):
            if self._watch is not None and self._watch.is_of(connections[self.alias]):
                self._watch.close()
        self._watch = None
