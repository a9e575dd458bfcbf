"""What is asked of a broker, whatever is behind its URL: to hand messages over, and to receive them."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

import kombu

from django_tasks import conf
from django_tasks.exceptions import DecodeError
from django_tasks.message.message import Envelope

from . import connecting
from .replying import Reply

#: About how many stored messages are delivered by one call: whoever calls is not kept for long.
MOST_RELAYED = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """An envelope with its address: which queue, how urgent, and since when and until when it waits."""

    envelope: Envelope
    #: The first that it reaches, if there is an exchange.
    queue: str
    #: With an exchange the message goes to every queue that this has for the routing key.
    exchange: str = ""
    routing_key: str = ""
    #: Is the sender to hear of it if no queue gets it?
    mandatory: bool = False
    priority: int = 0
    #: When it was first sent, if that is not now: it keeps its place among those that wait.
    sent_at: dt.datetime | None = None
    deliver_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that was received and is not settled yet."""

    queue: str
    envelope: Envelope
    #: The exchange it came through, if it was not sent to the queue itself, and the key that led it here.
    exchange: str = ""
    routing_key: str = ""
    #: What the receiver knows it by.
    tag: Any
    #: Why it may not be read, if so. Then the envelope is as it came: its body may be packed, or missing.
    refusal: DecodeError | None = None


class Holder(ABC):
    """Whoever can say what becomes of messages that are held."""

    @abstractmethod
    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Forget consumed messages; also those that an earlier receiver of the same owner received."""

    @abstractmethod
    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give messages back to their queues."""


class Receiver(Holder):
    """One thread's consumer of some queues. What it received and did not settle is its `owner`'s."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    @abstractmethod
    def receive(self, limit: int) -> contextlib.AbstractContextManager[list[Delivery]]:
        """At most `limit` messages that are there now.

        What the block does not settle, release or set aside stays with the owner, without a timeout, until it is
        settled later. If the block fails all of them are where they were.
        """

    @abstractmethod
    def set_aside(self, delivery: Delivery, reason: str) -> None:
        """Keep a message that cannot be obeyed, with the reason, for an operator."""

    @abstractmethod
    def rest(self) -> None:
        """Give back what has come and was not received, and let nothing more come until the next `receive`."""

    @abstractmethod
    def is_drained(self) -> bool:
        """Is nothing left to receive, here or in the broker?"""

    @abstractmethod
    def listen_to(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on, perhaps none. What was received before stays the owner's."""

    # -- hearing of messages

    #: Seconds after which to listen again; it may change.
    pause: float

    @property
    def patience(self) -> float:
        """Seconds after which to receive whatever was heard: that long silence is believed."""
        return 1.0

    @property
    @abstractmethod
    def fds(self) -> Sequence[int]:
        """Descriptors that become readable when there may be something."""

    #: Is there most likely something to receive now? Whoever knows says so before `receive`.
    is_hopeful = False

    @property
    def is_told_to_all(self) -> bool:
        """Does one message make the descriptors of all receivers readable?"""
        return False

    @abstractmethod
    def has_news(self) -> bool:
        """May there be something new since the last call? Cheap."""

    def keep_alive(self) -> None:
        """Show the broker that somebody is here. Asked for about once a second, also while there is no room."""

    @abstractmethod
    def found(self, something: bool) -> None:
        """Tell whether there really was something: it looks more often, or less."""

    # -- the end

    @abstractmethod
    def survives(self, error: BaseException) -> bool:
        """Can this receiver still be used after such an error?"""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of it without a word: it may be what is broken."""

    @abstractmethod
    def close(self) -> None:
        """Give back what was not received, and part from the broker."""


class Broker(ABC):
    """Sends and receives through one kombu URL. Safe to share between threads and across forks."""

    # Do messages live in the database of the tasks, so that a transaction holds both or nothing?
    is_embedded: ClassVar[bool]

    def __init__(self, url: str, transport_options: dict[str, Any]) -> None:
        self.url = url
        self.transport_options = transport_options
        self._pool: Any = None
        self._pool_of = 0
        self._opening = threading.Lock()

    @property
    @abstractmethod
    def alias(self) -> str:
        """The alias of the database that stores messages."""

    @abstractmethod
    def connect(self) -> kombu.Connection:
        """A connection of one's own."""

    @abstractmethod
    def publish(self, postings: Sequence[Posting]) -> None:
        """Hand messages over, all or none; inside a transaction of the broker's database they are part of it."""

    def keep(self, postings: Sequence[Posting]) -> None:
        """Store messages until the broker can be reached again. One that is the database keeps them anyway."""
        self.publish(postings)

    @abstractmethod
    def receiver(self, queues: Sequence[str], owner: str) -> Receiver: ...

    def holder(self, owner: str) -> Holder | None:
        """Who sees to what the owner holds while nothing can be received; `None` if that takes a receiver."""
        return None

    @abstractmethod
    def relay(self) -> int:
        """Deliver stored messages whose time has come; how many these were. There may be more, from `MOST_RELAYED`."""

    @abstractmethod
    def next_due(self, within: float) -> float:
        """Seconds until the relay has something to deliver, at most `within`, unless something new comes."""

    @abstractmethod
    def size(self, queue: str) -> int:
        """How many messages are ready in a queue."""

    @abstractmethod
    def is_empty(self, queues: Sequence[str]) -> bool:
        """Is nothing ready in these queues, nor due?"""

    @abstractmethod
    def purge(self, queue: str) -> int:
        """Throw a queue's ready messages away; how many these were."""

    @abstractmethod
    def move(self, queue: str, to: str, most: int) -> list[str]:
        """Hand ready messages of a queue over to another, `most` of them; the ids of their tasks.

        As many as were moved: in place of an id is nothing where there is no task, or nobody can read which. Raises
        `OperationalError` if that comes before the first.
        """

    @abstractmethod
    def reply(self, replies: Sequence[Reply]) -> None:
        """Send records to who waits for them at a queue of their own. Raises `OperationalError`."""

    @abstractmethod
    def missing_tables(self) -> list[str]:
        """Tables that `migrate` has not made yet."""

    def pool(self) -> Any:
        """kombu's pool of at most `BROKER_POOL_LIMIT` connections; a forked child has its own."""
        with self._opening:
            if self._pool is None or self._pool_of != os.getpid():
                self._pool = self.connect().Pool(limit=conf.current().BROKER_POOL_LIMIT)
                self._pool_of = os.getpid()
            return self._pool

    def close(self) -> None:
        """Close the connections of the pool."""
        if self._pool is not None and self._pool_of == os.getpid():
            self._pool.force_close_all()
        self._pool = None

    def leave(self) -> None:
        """In a forked child: the connections are its parent's, who is not to notice that there was a child."""
        self._opening = threading.Lock()  # a thread that is not here may have had it
        pool, self._pool = self._pool, None
        if pool is None:
            return
        inherited = [*pool._dirty, *pool._resource.queue]
        # In a child of multiprocessing kombu closes what is in there, with a goodbye for the parent.
        pool._dirty.clear()
        pool._resource.queue.clear()
        for connection in inherited:
            connecting.leave(connection)

    # -- after a consumer's death

    @abstractmethod
    def owners(self) -> list[str]:
        """The consumers that hold messages under a lease."""

    @abstractmethod
    def held(self, owner: str) -> list[Delivery]:
        """What a consumer has received and not settled, for those who settle it in its place."""

    @abstractmethod
    def forget(self, owner: str, deliveries: Sequence[Delivery]) -> None:
        """Settle what a consumer that died has held."""

    @abstractmethod
    def rescue(self, owner: str, most: int, reason: str) -> None:
        """Give the messages of a consumer that died to others; those that were tried `most` times are set aside."""


_through: ContextVar[kombu.Producer | None] = ContextVar("django_tasks_producer", default=None)


@contextlib.contextmanager
def through(producer: kombu.Producer) -> Iterator[None]:
    """Within the block, what is sent here goes through this producer."""
    token = _through.set(producer)
    try:
        yield
    finally:
        _through.reset(token)


def chosen_producer() -> kombu.Producer | None:
    """The producer that the caller wants to be used, if any."""
    return _through.get()
