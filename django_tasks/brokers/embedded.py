"""`django://`: messages are rows of the database, and what is done to them is part of its transactions."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import kombu
from django.db import Error, connections, transaction
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import parse_url

from django_tasks import conf
from django_tasks.models import QueuedMessage
from django_tasks.models.watch import ARRIVALS, Watch, watch

from . import payload
from .broker import Broker, Delivery, Posting, Receiver, chosen_producer
from .channel import Taken
from .publishing import publish
from .replying import Reply
from .unpacking import stored_delivery

SCHEME = "django"
TRANSPORT_ALIASES[SCHEME] = "django_tasks.brokers.database:Transport"


def alias_of(host: str | None) -> str:
    """The database that a URL names, or that of the tasks. Parsed, hosts are in lower case, as aliases need not be."""
    if not host:
        return conf.current().DATABASE
    aliases = list(connections)
    return host if host in aliases else next((alias for alias in aliases if alias.lower() == host), host)


class Embedded(Broker):
    is_embedded = True

    def __init__(self, url: str, transport_options: dict[str, Any]) -> None:
        super().__init__(url, transport_options)
        self._own = threading.local()
        self._host: str | None = parse_url(url)["hostname"]

    @property
    def alias(self) -> str:
        return alias_of(self._host)

    def connect(self) -> kombu.Connection:
        return kombu.Connection(self.url, transport_options=self.transport_options)

    def publish(self, postings: Sequence[Posting]) -> None:
        if producer := chosen_producer():
            with producer.channel.sending():
                for posting in postings:
                    self._publish(producer, posting)
        else:
            self._channel.insert(self.rows_of(postings))

    def keep_for(self, postings: Sequence[Posting], keeper: str) -> None:
        """Park messages with the name of who means to deliver them before they are due."""
        self._channel.insert(self.rows_of(postings, keeper))

    def rows_of(self, postings: Sequence[Posting], keeper: str = "") -> list[QueuedMessage]:
        """What messages are stored as."""
        producer = self._producer()
        rows: list[QueuedMessage]
        with producer.channel.collecting() as rows:
            for posting in postings:
                if payload.is_plain(posting):
                    rows.append(payload.row_of(posting, keeper))
                else:
                    self._publish(producer, posting, keeper=keeper)
        return rows

    def _publish(self, producer: kombu.Producer, posting: Posting, **columns: str) -> None:
        publish(producer, posting, sent_at=posting.sent_at, deliver_at=posting.deliver_at, **columns)

    def read(self, row: QueuedMessage) -> Delivery:
        """A stored message. Raises `ValueError` for what is none."""
        return stored_delivery(payload.from_row(row, row.payload), row.payload, queue=row.queue)

    def receiver(self, queues: Sequence[str], owner: str) -> EmbeddedReceiver:
        return EmbeddedReceiver(self, queues, owner)

    def _producer(self) -> kombu.Producer:
        """This thread's producer; a forked child makes its own."""
        if getattr(self._own, "pid", None) != os.getpid():
            self._own.producer = kombu.Producer(self.connect().channel())
            self._own.pid = os.getpid()
        return self._own.producer

    @property
    def _channel(self) -> Any:
        return self._producer().channel

    def relay(self) -> int:
        return int(self._channel.wake_due())

    def next_due(self, within: float) -> float:
        return float(self._channel.next_due(within))

    def size(self, queue: str) -> int:
        return int(self._channel._size(queue))

    def is_empty(self, queues: Sequence[str]) -> bool:
        return not self._channel.has_work(queues)

    def purge(self, queue: str) -> int:
        return int(self._channel.queue_purge(queue))

    def move(self, queue: str, to: str, most: int) -> list[str]:
        rows = QueuedMessage.objects.using(self.alias)
        with transaction.atomic(using=self.alias):
            found = rows.lock_next(queue, most, payload.longest())
            rows.rehouse([row.id for row in found], to)
        return [payload.task_of(row, row.text) for row in found]

    def reply(self, replies: Sequence[Reply]) -> None:
        """Who waits can ask the rows."""

    def missing_tables(self) -> list[str]:
        return list(self._channel.missing_tables())

    def owners(self) -> list[str]:
        return list(self._channel.rows.owners())

    def held(self, owner: str) -> list[Delivery]:
        return _deliveries(self._channel.held(owner))

    def forget(self, owner: str, deliveries: Sequence[Delivery]) -> None:
        self._channel.rows.remove([delivery.tag for delivery in deliveries], owner)

    def rescue(self, owner: str, most: int, reason: str) -> None:
        self._channel.rescue(owner, most, reason)


class EmbeddedReceiver(Receiver):
    """Taking messages, settling them and what the block writes meanwhile are one transaction of the database."""

    def __init__(self, broker: Embedded, queues: Sequence[str], owner: str) -> None:
        super().__init__(owner)
        self.broker = broker
        self.queues: Sequence[str] = ()
        self.connection = broker.connect()
        self.channel = self.connection.channel()
        self.channel.connection.owner = owner
        self._held: set[int] = set()
        self._watch: Watch | None = None
        self.listen_to(queues)

    def listen_to(self, queues: Sequence[str]) -> None:
        self.queues = tuple(dict.fromkeys(queues))

    @contextlib.contextmanager
    def receive(self, limit: int) -> Iterator[list[Delivery]]:
        hopeful, self.is_hopeful = self.is_hopeful and self.watch.is_precise, False
        # An idle worker looks often, and must not keep others from writing (SQLite) or begin transactions for it.
        if not (limit and self.queues and (hopeful or self.channel.may_have(self.queues))):
            yield []
            return
        with self.channel.batch() as batch:
            # Not through a consumer of kombu's: what that makes of each message costs more than the database does.
            yield _deliveries(self.channel.take_from(self.queues, limit))
        self._held |= batch.kept

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        tags = [delivery.tag for delivery in deliveries]
        self.channel.settle(tags)
        self._held.difference_update(tags)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        tags = [delivery.tag for delivery in deliveries]
        self.channel.offer_again(tags)
        self._held.difference_update(tags)

    def set_aside(self, delivery: Delivery, reason: str) -> None:
        self.channel.set_aside(delivery.tag, reason)
        self._held.discard(delivery.tag)

    def rest(self) -> None:
        """Nothing comes unasked."""

    def is_drained(self) -> bool:
        return self.broker.is_empty(self.queues)

    # -- hearing of messages

    @property
    def watch(self) -> Watch:
        if self._watch is None:
            self._watch = watch(connections[self.broker.alias], ARRIVALS)
        return self._watch

    @property
    def pause(self) -> float:  # type: ignore[override]
        return self.watch.pause

    @property
    def patience(self) -> float:
        return min(self.watch.patience, float(self.channel.places.patience))

    @property
    def fds(self) -> Sequence[int]:
        return () if self.watch.fd is None else (self.watch.fd,)

    @property
    def is_told_to_all(self) -> bool:
        return self.watch.gives_signs

    def has_news(self) -> bool:
        return self.watch.changed()

    def found(self, something: bool) -> None:
        self.watch.found(something)

    # -- the end

    def survives(self, error: BaseException) -> bool:
        return False

    def abandon(self) -> None:
        """Its connection is Django's, which closes it."""

    def close(self) -> None:
        """If the database is away, whoever finds this owner dead gives back what it held."""
        with contextlib.suppress(Error):
            self.channel.offer_again(self._held)
        self.connection.release()


def _deliveries(taken: Sequence[Taken]) -> list[Delivery]:
    return [stored_delivery(one.message, one.text, queue=one.queue) for one in taken]
