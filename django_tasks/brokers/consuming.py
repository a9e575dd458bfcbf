"""Receiving from a broker of its own: what is the same for all of them.

Messages are acknowledged as soon as what was decided of them is committed: a tracked task is claimed by then, and what
must outlive this process without a row of its own (an untracked `acks_late` task) is stored as a held message. So
nothing is unacknowledged for longer than a moment, however long a task takes, and no broker loses patience with us.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import kombu
from django.db import Error, connections, transaction

from django_tasks.exceptions import OperationalError
from django_tasks.models import QueuedMessage
from django_tasks.models.batches import fits

from . import connecting, payload
from .broker import Delivery, Holder, Posting, Receiver
from .declaring import declare
from .unpacking import deliver_packed

if TYPE_CHECKING:
    from django_tasks.models.queue import QueuedMessageQuerySet

    from .remote import Remote

#: Seconds between looks at transports that give no sign: at first, and the most while nothing comes.
SHORTEST, LONGEST = 0.02, 0.5
#: The header that counts how often an untracked task was begun: a message that was given back is a new one.
DELIVERIES = "django_tasks_deliveries"
#: It was taken on before that was seen.
TOO_LONG_TO_HOLD = (
    "The message takes more than the database takes in one statement, so it could not be kept while its task runs, "
    "which is begun once. Set its max_allowed_packet, or DJANGO_TASKS['MESSAGE_MAX_BYTES'] to what fits."
)


class Ticket:
    """What a delivery is known by: what its broker calls it, and the row that holds it once it is acknowledged."""

    __slots__ = ("message", "row")

    def __init__(self, message: Any) -> None:
        self.message = message
        self.row: int | None = None


class Stored(Holder):
    """What an owner holds is rows, and needs no broker."""

    def __init__(self, rows: QueuedMessageQuerySet, owner: str) -> None:
        self.rows = rows
        self.owner = owner

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        if held := [delivery.tag.row for delivery in deliveries if delivery.tag.row is not None]:
            self.rows.remove(held, self.owner)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        if held := [delivery.tag.row for delivery in deliveries if delivery.tag.row is not None]:
            self.rows.owned_among(held, self.owner).make_ready()


class RemoteReceiver(Receiver):
    def __init__(
        self, broker: Remote, connection: kombu.Connection, queues: Sequence[str], owner: str
    ) -> None:
        super().__init__(owner)
        self.broker = broker
        self.stored = Stored(broker.rows, owner)
        self.queues: Sequence[str] = ()
        self.connection = connection
        self.is_broken: OperationalError | None = None
        self.is_over = False
        self.pause = SHORTEST
        self._arrived: deque[Delivery] = deque()
        self._released: list[Delivery] = []
        self._gone: set[int] = set()
        #: Rows that may hold what is in `_arrived` again: the commit failed, or only its answer was lost.
        self._doubtful: list[int] = []
        connecting.connect(connection)
        self.channel = connection.channel()
        deliver_packed(self.channel)
        self._declare(queues)

    def _declare(self, queues: Sequence[str]) -> None:
        for name in queues:
            if name not in self.queues:
                declare(self.channel, name)
        self.queues = tuple(queues)

    def listen_to(self, queues: Sequence[str]) -> None:
        self.rest()  # what has come may be of a queue that is left
        self._declare(queues)
        self.attend()

    @abstractmethod
    def attend(self) -> None:
        """Be ready to receive from `queues` and no others."""

    # -- a batch

    @contextlib.contextmanager
    def receive(self, limit: int) -> Iterator[list[Delivery]]:
        self._remove_doubtful()
        with self._telling():
            self.fetch(limit)
        batch = [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
        if not batch:
            yield []
            return
        self._gone, self._released = set(), []
        try:
            with transaction.atomic(using=self.broker.alias):
                yield batch
                self._hold([delivery for delivery in batch if id(delivery) not in self._gone])
        except BaseException:
            self._take_back(batch)
            raise
        self._acknowledge(batch)

    def _take_back(self, batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            if delivery.tag.row is not None:
                self._doubtful.append(delivery.tag.row)
                delivery.tag.row = None
        self._arrived.extendleft(reversed(batch))

    def _remove_doubtful(self) -> None:
        """Before anything else is held: a database that took them back may give the same keys again."""
        if self._doubtful:
            self.broker.rows.remove(self._doubtful, self.owner)
            self._doubtful = []

    @abstractmethod
    def fetch(self, limit: int) -> None:
        """Have so many messages in `_arrived`, or all that there are."""

    @abstractmethod
    def acknowledge(self, done: Sequence[Delivery], back: Sequence[Delivery]) -> None:
        """All of a batch: forget what is done, and put the others back into their queues, in their old place."""

    def _acknowledge(self, batch: Sequence[Delivery]) -> None:
        back = {id(delivery) for delivery in self._released}
        try:
            with self._telling():
                self.acknowledge([delivery for delivery in batch if id(delivery) not in back], self._released)
        except OperationalError as error:
            # It was decided of them, and that is committed. The broker delivers them again: to rows that are claimed.
            self.is_broken = error

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors of the broker as `OperationalError`; after one there will be no others."""
        if self.is_broken is not None:
            raise self.is_broken
        with connecting.ours(self.connection, "is not to be received from"):
            yield

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        self.stored.settle(deliveries)
        self._gone.update(map(id, deliveries))

    def release(self, deliveries: Sequence[Delivery]) -> None:
        self.stored.release(deliveries)
        self._released += [delivery for delivery in deliveries if delivery.tag.row is None]
        self._gone.update(map(id, deliveries))

    def set_aside(self, delivery: Delivery, reason: str) -> None:
        if delivery.tag.row is not None:
            self.broker.rows.filter(id=delivery.tag.row).set_aside(reason)
        else:
            row = payload.aside_row(delivery, reason, connections[self.broker.alias])
            self.broker.rows.insert([row])
        self._gone.add(id(delivery))

    def _hold(self, deliveries: Sequence[Delivery]) -> None:
        """Store what stays ours until it is settled."""
        if not deliveries:
            return
        rows = self.broker.store.rows_of([posting_of(delivery) for delivery in deliveries])
        held = []
        for row, delivery in zip(rows, deliveries, strict=True):
            if not fits(row.payload, connections[self.broker.alias]):
                self.set_aside(delivery, TOO_LONG_TO_HOLD)
                continue
            row.state, row.claimed_by = QueuedMessage.State.CLAIMED, self.owner
            row.deliveries = _earlier_deliveries(delivery) + 1
            held.append((row, delivery))
        self.broker.rows.insert_with_keys([row for row, _ in held])
        for row, delivery in held:
            delivery.tag.row = row.pk

    def is_drained(self) -> bool:
        if self._arrived or not self.broker.is_empty(self.queues):
            return False
        with self._telling():
            self.fetch(1)  # what was under way to us was in no queue
        return not self._arrived and self.broker.is_empty(self.queues)

    def rest(self) -> None:
        with self._telling():
            self.put_back()

    @abstractmethod
    def put_back(self) -> None:
        """What has arrived and was not received; and let nothing more come."""

    # -- hearing of messages

    @property
    def fds(self) -> Sequence[int]:
        with self._telling():
            return self.sockets

    @property
    @abstractmethod
    def sockets(self) -> Sequence[int]: ...

    def has_news(self) -> bool:
        with self._telling():
            return self.looks_new()

    @abstractmethod
    def looks_new(self) -> bool: ...

    def found(self, something: bool) -> None:
        self.pause = LONGEST if self.fds else SHORTEST if something else min(self.pause * 1.5, LONGEST)

    # -- the end

    def survives(self, error: BaseException) -> bool:
        """The database being away is nothing to a broker elsewhere; what has arrived waits here."""
        return isinstance(error, Error) and self.is_broken is None

    def abandon(self) -> None:
        self.is_over = True
        with contextlib.suppress(Exception):  # it is broken: whatever it says is no news
            self.connection.collect(socket_timeout=0.1)

    def close(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        with contextlib.suppress(OperationalError, *connecting.errors(self.connection)):
            self.rest()
            self.part()
            self.connection.release()

    def part(self) -> None:
        """Leave nothing behind."""


def posting_of(delivery: Delivery) -> Posting:
    """What was received, to be sent as it was."""
    priority = delivery.envelope.properties.get("priority")
    return Posting(
        envelope=delivery.envelope,
        queue=delivery.queue,
        priority=priority if isinstance(priority, int) and 0 <= priority <= 9 else 0,
    )


def _earlier_deliveries(delivery: Delivery) -> int:
    counted = delivery.envelope.headers.get(DELIVERIES)
    return counted if type(counted) is int and 0 <= counted < 1_000 else 0
