"""The broker: where messages are handed over, through kombu, whatever is behind the URL."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import kombu
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import parse_url

from django_tasks import conf
from django_tasks.message import compression
from django_tasks.message.message import Envelope

EMBEDDED = "django"
TRANSPORT_ALIASES[EMBEDDED] = "django_tasks.brokers.database:Transport"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """An envelope with its address: which queue, how urgent, and since when and until when it waits."""

    envelope: Envelope
    queue: str
    priority: int = 0
    #: When it was first sent, if that is not now: it keeps its place among those that wait.
    sent_at: dt.datetime | None = None
    deliver_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that was received and is not settled yet."""

    queue: str
    envelope: Envelope
    message: Any


class Broker:
    """Sends and receives through one kombu URL. Safe to share between threads and across forks."""

    def __init__(self, url: str, transport_options: dict[str, Any]) -> None:
        if found := problems(url):
            raise ImproperlyConfigured(" ".join(found))
        self.url = url
        self.transport_options = transport_options
        self._own = threading.local()

    @property
    def alias(self) -> str:
        """The database alias behind `django://`."""
        return parse_url(self.url)["hostname"] or conf.current().DATABASE

    def connect(self) -> kombu.Connection:
        return kombu.Connection(self.url, transport_options=self.transport_options)

    def publish(self, postings: Sequence[Posting]) -> None:
        """Hand messages over, all or none; inside a transaction of the broker's database they are part of it."""
        producer = _through.get() or self._producer()
        with producer.channel.sending():
            for posting in postings:
                envelope = posting.envelope
                headers = dict(envelope.headers)
                producer.publish(
                    envelope.body,
                    routing_key=posting.queue,
                    priority=posting.priority,
                    content_type=envelope.content_type,
                    content_encoding=envelope.content_encoding,
                    # kombu writes the header again if it does.
                    compression=compression.usable(headers.pop("compression", None)),
                    headers=headers,
                    expiration=_seconds(envelope.properties.get("expiration")),
                    sent_at=posting.sent_at,
                    deliver_at=posting.deliver_at,
                    **{name: value for name, value in envelope.properties.items() if name in _FORWARDED},
                )

    def _producer(self) -> kombu.Producer:
        """This thread's producer; a forked child makes its own."""
        if getattr(self._own, "pid", None) != os.getpid():
            self._own.producer = kombu.Producer(self.connect().channel())
            self._own.pid = os.getpid()
        return self._own.producer

    def wake_due(self) -> int:
        """Deliver stored messages whose time has come; how many these were."""
        return int(self._producer().channel.wake_due())

    def size(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        return int(self._producer().channel._size(queue))

    def is_empty(self, queues: Sequence[str]) -> bool:
        """Is nothing ready in these queues, nor due?"""
        return not self._producer().channel.has_work(queues)

    def missing_tables(self) -> list[str]:
        """Tables that `migrate` has not made yet."""
        return list(self._producer().channel.missing_tables())

    def rescue(self, owner: str, most: int, reason: str) -> None:
        """Give the messages of a consumer that died to others; those that were tried `most` times are set aside."""
        self._producer().channel.rescue(owner, most, reason)

    def held(self, owner: str) -> list[Delivery]:
        """What a consumer has received and not settled, for those who settle it in its place."""
        return [_delivery(message) for message in self._producer().channel.held(owner)]

    def forget(self, owner: str, deliveries: Sequence[Delivery]) -> None:
        """Settle what a consumer that died has held."""
        tags = [delivery.message.delivery_tag for delivery in deliveries]
        self._producer().channel.rows.remove(tags, owner)

    def owners(self) -> list[str]:
        """The consumers that hold messages under a lease."""
        return list(self._producer().channel.rows.owners())

    def purge(self, queue: str) -> int:
        """Throw a queue's ready messages away; how many these were."""
        return int(self._producer().channel.queue_purge(queue))


_through: ContextVar[kombu.Producer | None] = ContextVar("django_tasks_producer", default=None)


@contextlib.contextmanager
def through(producer: kombu.Producer) -> Iterator[None]:
    """Within the block, what is sent here goes through this producer. Raises `TypeError` if it leads elsewhere."""
    if type(producer.channel) is not type(broker()._producer().channel):
        raise TypeError(
            "The publisher leads to another broker than BROKER_URL. Take one of get_publisher(), or of app.pool."
        )
    token = _through.set(producer)
    try:
        yield
    finally:
        _through.reset(token)


#: Properties (AMQP 0-9-1, basic class) that go with a message wherever it is sent. Others are passed by name or belong
#: to one delivery, and whatever else a stranger wrote there could be taken for an argument of `publish`.
_FORWARDED = frozenset(
    {"correlation_id", "reply_to", "delivery_mode", "message_id", "timestamp", "type", "user_id", "app_id"}
)


def _seconds(milliseconds: object) -> float | None:
    """The property `expiration` as kombu takes it. Nonsense is no limit: the header `expires` decides in the end."""
    try:
        seconds = float(str(milliseconds)) / 1000
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _delivery(message: Any) -> Delivery:
    envelope = Envelope(
        headers=message.headers,
        body=message.body,
        content_type=message.content_type or "",
        content_encoding=message.content_encoding or "",
        properties=message.properties,
    )
    queue = message.delivery_info.get("routing_key") or ""
    return Delivery(queue=queue, envelope=envelope, message=message)


class Receiver:
    """One thread's consumer of some queues."""

    def __init__(self, broker: Broker, queues: Sequence[str], owner: str) -> None:
        self.owner = owner
        self.connection = broker.connect()
        self.channel = self.connection.channel()
        self.channel.connection.owner = owner
        self._arrived: list[Delivery] = []
        consumer = kombu.Consumer(
            self.channel,
            [kombu.Queue(name, exchange="", routing_key=name) for name in queues],
            on_message=self._arrive,
            on_decode_error=self._refuse,
            auto_declare=False,
        )
        consumer.consume()

    @contextlib.contextmanager
    def receive(self, limit: int) -> Iterator[list[Delivery]]:
        """At most `limit` messages that are there now.

        What the block settles and what it writes to the broker's database is one transaction; if the block fails
        the messages are where they were.
        """
        self._arrived = []
        with self.channel.batch():
            self.channel.basic_qos(0, len(self.channel.qos.unsettled()) + limit, False)
            self.channel.connection.deliver_batch()
            yield self._arrived

    def _arrive(self, message: Any) -> None:
        self._arrived.append(_delivery(message))

    def _refuse(self, message: Any, error: Exception) -> None:
        """What kombu cannot unpack, such as a body that is not compressed as its header says."""
        self.channel.set_aside(message.delivery_tag, f"The body cannot be unpacked: {error!r}.")

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Forget consumed messages; also those that an earlier receiver of the same owner received."""
        self.channel.settle([delivery.message.delivery_tag for delivery in deliveries])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give messages back to their queues."""
        self.channel.offer_again([delivery.message.delivery_tag for delivery in deliveries])

    def set_aside(self, delivery: Delivery, reason: str) -> None:
        """Keep a message that cannot be obeyed, with the reason, for an operator."""
        self.channel.set_aside(delivery.message.delivery_tag, reason)

    def close(self) -> None:
        self.connection.release()


@cache
def broker() -> Broker:
    """The broker that the settings name."""
    settings = conf.current()
    return Broker(settings.BROKER_URL, settings.BROKER_TRANSPORT_OPTIONS)


def _forget(*, setting: str, **_: Any) -> None:
    if setting in (conf.NAME, "DATABASES"):
        broker.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.brokers.broker")


def problems(url: str) -> list[str]:
    """What is wrong with a broker URL, one sentence each."""
    scheme, found, _ = url.partition("://")
    if not found:
        return [f"BROKER_URL must look like 'django://' or 'transport://host/', not {url!r}."]
    if scheme != EMBEDDED:
        return [
            f"This version delivers through the database only: BROKER_URL must begin with 'django://', not {scheme!r}."
        ]
    alias = parse_url(url)["hostname"] or conf.current().DATABASE
    if alias not in django_settings.DATABASES:
        known = ", ".join(django_settings.DATABASES)
        return [
            f"BROKER_URL {url!r} names no database of DATABASES ({known}). Write 'django://' for the tasks' own."
        ]
    return []
