"""A broker of its own: RabbitMQ, Redis, or whatever else kombu has a transport for.

It carries what is to be run now. What waits longer than that (until a moment, for a transaction to commit, for the
broker to come back, for its consumer to end, for an operator) is stored as rows of `QueuedMessage` beside the tasks, as
the embedded broker stores it, and is published by a relay when its time has come.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import kombu
from django.db import connections, transaction
from kombu.exceptions import ChannelError, LimitExceeded

from django_tasks import clock, conf
from django_tasks.exceptions import OperationalError, Unroutable
from django_tasks.models import QueuedMessage, Sight
from django_tasks.models.queue import QueuedMessageQuerySet

from . import connecting
from .broker import Broker, Delivery, Holder, Posting, chosen_producer
from .confirming import Refused, confirmed
from .consuming import RemoteReceiver, Stored, posting_of
from .declaring import declare_for, has_exchanges, to_queues
from .embedded import Embedded
from .forwarding import Forwarding
from .outbox import Outbox
from .payload import aside_row
from .prefetching import PrefetchingReceiver
from .publishing import address, publish
from .redis_lists import RedisReceiver
from .replying import Reply, reply
from .unacked import Unacked
from .unpacking import deliver_packed, delivery_of

logger = logging.getLogger("django_tasks.brokers")

#: Schemes of kombu for a Redis that is one server, or one at a time.
REDIS = frozenset({"redis", "rediss", "redis+socket", "sentinel"})
#: What AMQP answers of a queue that there is not.
NOT_FOUND = 404
#: Seconds until the relay turns again while something could not be given back to Redis.
AGAIN = 1.0
#: What is told of an error, and what to do then: to whoever sends, and to whoever looks after the queues.
SENDING = (
    "cannot be reached, or refused a message",
    "Send it again later, or let `retry_policy` be more patient.",
)
LOOKING = (
    "cannot be reached, or refused what it was asked",
    "See that it runs, that this machine may connect to it, and that BROKER_URL is right.",
)


class Remote(Broker):
    is_embedded = False

    def __init__(self, url: str, transport_options: dict[str, Any]) -> None:
        super().__init__(url, transport_options)
        #: Where messages wait.
        self.store = Embedded(f"django://{self.alias}", {})
        has_lists = url.partition("://")[0] in REDIS
        self.unacked = Unacked(self.connect, self.fleet) if has_lists else None
        self.outbox = Outbox(alias=self.alias, store=self.store.keep_for, push=self.push)

    @property
    def alias(self) -> str:
        return conf.current().DATABASE

    def connect(self) -> kombu.Connection:
        return connecting.connection(self.url, self.transport_options)

    def receiver(self, queues: Sequence[str], owner: str) -> RemoteReceiver:
        connection = connecting.connection(self.url, self.transport_options, heartbeat=connecting.HEARTBEAT)
        kind = RedisReceiver if self.unacked else PrefetchingReceiver
        with connecting.ours(connection, "cannot be consumed from"):
            return kind(self, connection, queues, owner)

    def holder(self, owner: str) -> Holder:
        return Stored(self.rows, owner)

    def fleet(self) -> str:
        """What our workers are called together. Not kept: a database may be made anew."""
        return Sight.objects.using(self.alias).fleet()

    @property
    def rows(self) -> QueuedMessageQuerySet:
        return QueuedMessage.objects.using(self.alias)

    # -- sending

    def publish(self, postings: Sequence[Posting]) -> None:
        now = clock.now()
        parked = [posting for posting in postings if posting.deliver_at and posting.deliver_at > now]
        due = [posting for posting in postings if not posting.deliver_at or posting.deliver_at <= now]
        if parked:
            self.store.publish(parked)
        if due and connections[self.alias].in_atomic_block:
            self.outbox.put(due)
        elif due:
            self.push(due)

    def keep(self, postings: Sequence[Posting]) -> None:
        self.store.publish(postings)

    def push(self, postings: Sequence[Posting]) -> None:
        """Publish, and return when the broker has all of them. Raises `OperationalError`."""
        chosen = chosen_producer()
        if chosen is not None:
            with self._telling(chosen.connection):
                self._publish(chosen.channel, postings)
            return
        with self._lent() as connection, self._telling(connection):
            if not self._publish_over_used(connection, postings):
                connecting.connect(connection)
                self._publish(connection.default_channel, postings)

    @contextlib.contextmanager
    def _lent(self) -> Iterator[kombu.Connection]:
        try:
            connection = self.pool().acquire(block=True, timeout=connecting.ANSWER_TIMEOUT)
        except LimitExceeded as error:
            raise OperationalError(
                f"All {conf.current().BROKER_POOL_LIMIT} connections of the pool are in use. Raise BROKER_POOL_LIMIT."
            ) from error
        with connection:
            yield connection

    @contextlib.contextmanager
    def _channel(self, told: tuple[str, str] = SENDING) -> Iterator[tuple[kombu.Connection, Any]]:
        """A channel of its own: the connection's usual one counts confirms, and an error closes a channel."""
        with self._lent() as connection, self._telling(connection, told):
            connecting.connect(connection)
            with connection.channel() as channel:
                yield connection, channel

    @contextlib.contextmanager
    def _telling(self, connection: kombu.Connection, told: tuple[str, str] = SENDING) -> Iterator[None]:
        with connecting.ours(connection, *told):
            yield

    def _publish_over_used(self, connection: kombu.Connection, postings: Sequence[Posting]) -> bool:
        """False if the connection was not open any more: the broker may have closed it since it was last used."""
        if not connection.connected:
            return False
        try:
            self._publish(connection.default_channel, postings)
        except connecting.errors(connection) as error:
            if isinstance(error, Refused) or connecting.is_silence(error):
                raise
            connection.collect()
            return False
        return True

    def _publish(self, channel: Any, postings: Sequence[Posting]) -> None:
        if has_exchanges(channel):
            self._publish_confirmed(channel, postings)
            return
        producer = kombu.Producer(channel)
        batch = producer.batch() if hasattr(producer, "batch") else contextlib.nullcontext()
        with batch:
            for posting in postings:
                for one in to_queues(posting):
                    publish(producer, one)

    def _publish_confirmed(self, channel: Any, postings: Sequence[Posting]) -> None:
        """A queue that nobody has declared yet, or that somebody deleted, is declared and its messages sent again."""
        for posting in postings:
            if posting.exchange:
                declare_for(channel, posting)
        sending = confirmed(channel)
        returned = sending.publish(postings)
        refused = sending.refused
        if returned:
            for posting in returned:
                declare_for(channel, posting, anew=True)
            returned = sending.publish(returned)
            refused += sending.refused
            if returned:
                raise Unroutable(
                    f"The broker has no queue for what is sent to {address(returned[0])}. Bind one in "
                    f"{conf.NAME}['TASK_QUEUES'], or send to a queue by its name."
                ) from Refused([*returned, *refused])
        if refused:
            raise Refused(refused)

    def reply(self, replies: Sequence[Reply]) -> None:
        with self._channel() as (connection, channel):
            reply(channel, replies, is_redis=connection.transport.driver_type == "redis")

    # -- what waits

    def relay(self) -> int:
        if self.unacked:
            self.unacked.try_again()
        return Forwarding(
            rows=self.rows, read=self.store.read, push=self.push, answers=self._answers
        ).forward()

    def _answers(self) -> bool:
        try:
            with self._lent() as connection, self._telling(connection):
                connecting.connect(connection)
        except OperationalError:
            return False
        return True

    def next_due(self, within: float) -> float:
        # What Redis could not be told is tried again soon.
        within = min(within, AGAIN) if self.unacked and self.unacked.waiting else within
        return self.store.next_due(within)

    # -- looking

    def size(self, queue: str) -> int:
        with self._channel(LOOKING) as (connection, channel):
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except (ChannelError, *connection.channel_errors):
                return 0  # there is none, until somebody sends to it

    def is_empty(self, queues: Sequence[str]) -> bool:
        return self.store.is_empty(queues) and not any(map(self.size, queues))

    def purge(self, queue: str) -> int:
        with self._channel(LOOKING) as (connection, channel):
            try:
                return int(channel.queue_purge(queue) or 0)
            except (ChannelError, *connection.channel_errors):
                return 0

    def move(self, queue: str, to: str, most: int) -> list[str]:
        """Each is in both queues for a moment: cut short there it is delivered twice, and run once by its claim."""
        moved: list[str] = []
        try:
            with self._channel(LOOKING) as (connection, channel):
                self._move(connection, channel, queue, to, most, moved)
        except OperationalError:
            if not moved:
                raise  # and otherwise when it is called again
        return moved

    def _move(
        self, connection: kombu.Connection, channel: Any, queue: str, to: str, most: int, moved: list[str]
    ) -> None:
        deliver_packed(channel)
        source = kombu.Queue(queue, channel=channel)
        try:
            while len(moved) < most and (message := source.get()) is not None:
                moved.append(self._hand_over(message, queue, to, connection.default_channel))
        except (ChannelError, *connection.channel_errors) as error:
            if getattr(error, "reply_code", None) != NOT_FOUND:
                raise
            # There is none, until somebody sends to it.

    def _hand_over(self, message: Any, queue: str, to: str, channel: Any) -> str:
        delivery = delivery_of(message, queue=queue)
        if delivery.refusal is None:
            self._publish(channel, [replace(posting_of(delivery), queue=to)])
        else:  # as a worker would
            reason = f"It could not be moved to {to}: {delivery.refusal}"
            self.rows.insert([aside_row(delivery, reason, connections[self.alias])])
        message.ack()
        id = delivery.envelope.headers.get("id")
        return id if isinstance(id, str) else ""

    def missing_tables(self) -> list[str]:
        return self.store.missing_tables()

    # -- after a consumer's death: what it held was stored

    def owners(self) -> list[str]:
        return [*self.store.owners(), *(self.unacked.owners() if self.unacked else ())]

    def held(self, owner: str) -> list[Delivery]:
        return self.store.held(owner)

    def forget(self, owner: str, deliveries: Sequence[Delivery]) -> None:
        self.store.forget(owner, deliveries)

    def rescue(self, owner: str, most: int, reason: str) -> None:
        self.store.rescue(owner, most, reason)
        if self.unacked:
            # Not before: until then it may be the owner's after all.
            transaction.on_commit(partial(self.unacked.rescue, owner), using=self.alias)
