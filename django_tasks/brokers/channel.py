"""The channel of the embedded broker: what a kombu producer or consumer does, done to rows of `QueuedMessage`."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import Error, connections, transaction
from kombu.exceptions import ChannelError
from kombu.transport import virtual

from django_tasks import clock, conf
from django_tasks.message.compression import too_large
from django_tasks.models.queue import QueuedMessage, QueuedMessageQuerySet, StoredMessage
from django_tasks.models.together import joined
from django_tasks.models.watch import ARRIVALS, PARKED, announce

from . import payload, queues
from .broker import MOST_RELAYED
from .places import Places

if TYPE_CHECKING:
    from .database import Transport

logger = logging.getLogger("django_tasks.brokers")

DEFAULT_VISIBILITY_TIMEOUT = 3600.0
#: Messages taken at once by a consumer that set no prefetch count.
DEFAULT_BATCH = 100
#: Due messages made ready by one statement.
WAKE_AT_ONCE = 1000


class Taken(NamedTuple):
    """A message on its way to a consumer, with the queue it was asked from, and its row's text."""

    queue: str
    message: dict[str, Any]
    text: str

    @property
    def tag(self) -> int:
        return int(self.message["properties"]["delivery_tag"])


class QoS(virtual.QoS):  # type: ignore[misc]
    """Which messages a channel has delivered and not settled; settling one reaches its row."""

    def __init__(self, channel: Channel, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        # At exit there is nothing to write back, and the hook would keep every channel there ever was.
        self._on_collect.cancel()

    def ack(self, delivery_tag: int) -> None:
        self.channel.settle([delivery_tag])

    def reject(self, delivery_tag: int, requeue: bool = False) -> None:
        (self.channel.offer_again if requeue else self.channel.settle)([delivery_tag])

    def restore_unacked(self) -> list[Any]:
        self.channel.offer_again(self.unsettled())
        return []

    def unsettled(self) -> list[int]:
        return list(self._delivered)

    def forget(self, tags: Collection[int]) -> None:
        for tag in tags:
            self._delivered.pop(tag, None)


@dataclass(slots=True)
class Batch:
    """What the transaction under way has locked."""

    kept: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)


class Channel(virtual.Channel):  # type: ignore[misc]
    """Queues as rows. Delivery tags are the rows' keys."""

    QoS = QoS
    # Unsettled messages are rows already; there is nothing to write back, only to give back (see close).
    do_restore = False

    connection: Transport

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._turn = 0
        self._collected: list[QueuedMessage] | None = None
        self._batch: Batch | None = None
        self.places = Places()
        self.no_ack: set[str] = set()

    @property
    def alias(self) -> str:
        return self.connection.alias

    @property
    def rows(self) -> QueuedMessageQuerySet:
        return QueuedMessage.objects.using(self.alias)

    # -- sending

    def _inplace_augment_message(self, message: dict[str, Any], exchange: str, routing_key: str) -> None:
        payload.write_body(message)
        message["properties"]["delivery_info"].update(exchange=exchange, routing_key=routing_key)

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        row = payload.to_row(queue, message, priority=self._get_message_priority(message))
        if self._collected is None:
            self.insert([row])
        else:
            self._collected.append(row)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Messages published inside are inserted together at the end, by few statements."""
        with self.collecting() as rows:
            yield
            self.insert(rows)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[list[QueuedMessage]]:
        """The rows of messages published inside, which are not inserted."""
        # A signal handler may send while the same thread is in here.
        outer, self._collected = self._collected, []
        try:
            yield self._collected
        finally:
            self._collected = outer

    def insert(self, rows: Sequence[QueuedMessage]) -> None:
        """Store these, and say so to those who wait for them."""
        connection = connections[self.alias]
        with joined(connection):
            self.rows.insert(rows)
            if any(row.state == QueuedMessage.State.READY for row in rows):
                announce(connection, ARRIVALS)
            # What has a keeper is in the outbox, and is not meant to be delivered from there.
            if any(row.state == QueuedMessage.State.PARKED and not row.claimed_by for row in rows):
                announce(connection, PARKED)

    def exchange_declare(self, exchange: str | None = None, type: str = "direct", **kwargs: Any) -> None:
        if type not in ("direct", "topic", None):
            raise ChannelError(
                f"django:// has no {type} exchanges; use a direct or a topic exchange, or another broker."
            )
        super().exchange_declare(exchange, type, **kwargs)

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        """The queues that the settings bind to an exchange, or else this process.

        An exchange whose bindings other processes declared, or nobody, is taken for the default one.
        """
        if reached := queues.reached(exchange, routing_key):
            return list(reached)
        known = self.state.exchanges.get(exchange, {}).get("table")
        return list(super()._lookup(exchange, routing_key, default)) if known else [routing_key]

    # -- receiving

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> None:
        (self.no_ack.add if no_ack else self.no_ack.discard)(queue)
        super().basic_consume(queue, no_ack, *args, **kwargs)

    def basic_cancel(self, consumer_tag: str) -> None:
        queue = self._tag_to_queue.get(consumer_tag)
        super().basic_cancel(consumer_tag)
        if queue is not None and queue not in self._active_queues:
            self.offer_again(self.connection.recall(self, queue))

    def take(self) -> list[Taken]:
        """The next messages of the queues consumed here, at most what the prefetch count leaves room for."""
        room = self.qos.can_consume_max_estimate()
        room = DEFAULT_BATCH if room is None else room
        queues = list(dict.fromkeys(self._active_queues))
        return self.take_from(queues, room) if room and self.may_have(queues) else []

    def may_have(self, queues: Sequence[str]) -> bool:
        """May there be something to take from these queues? One question, which needs no transaction and no lock."""
        # What lies dead at the beginning makes the question as slow as the look that would follow it.
        return bool(queues) and (
            self.places.are_needed or self.rows.ready().filter(queue__in=queues).exists()
        )

    def take_from(self, queues: Sequence[str], room: int) -> list[Taken]:
        """The next messages of these queues, at most so many."""
        with self.places.look(self.rows):
            return self._take(queues, room)

    def _take(self, queues: Sequence[str], room: int) -> list[Taken]:
        # Each queue is first in its turn, so that a full one does not starve the others.
        self._turn = (self._turn + 1) % len(queues)
        rows: list[tuple[str, StoredMessage]] = []
        with transaction.atomic(using=self.alias, savepoint=False):
            for queue in (*queues[self._turn :], *queues[: self._turn]):
                if len(rows) < room:
                    rows += ((queue, row) for row in self.lock_next(queue, room - len(rows)))
            return self._keep(rows)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        while True:
            with transaction.atomic(using=self.alias, savepoint=False):
                rows = [(queue, row) for row in self.lock_next(queue, 1)]
                kept = self._keep(rows)
            if kept:
                return kept[0].message
            if not rows:
                raise Empty

    def lock_next(self, queue: str, limit: int) -> Sequence[StoredMessage]:
        rows = self.rows.lock_next(queue, limit, payload.longest(), self.places.of(queue))
        if rows:
            self.places.found(queue, rows[0].id)
        return rows

    def _keep(self, rows: Sequence[tuple[str, StoredMessage]]) -> list[Taken]:
        """Make locked rows this consumer's, and set those aside that are no messages: they would be met for ever."""
        readable: dict[int, Taken] = {}
        for queue, row in rows:
            if row.text is None:
                self._cut(row)
                continue
            try:
                readable[row.id] = Taken(queue, payload.from_row(row, row.text), row.text)
            except ValueError as error:
                reason = f"The stored payload is not a kombu message: {error}."
                logger.error("Message set aside from queue %s: %s", row.queue, reason)
                self.rows.filter(pk=row.id).set_aside(reason)
        if self._batch is not None:
            self._batch.kept.update(readable)
        elif readable:
            seconds = self.connection.client.transport_options.get(
                "visibility_timeout", DEFAULT_VISIBILITY_TIMEOUT
            )
            until = clock.database_now(connections[self.alias]) + dt.timedelta(seconds=seconds)
            self.rows.hold(readable, self.connection.owner, clock.to_storage(until))
        return list(readable.values())

    def _cut(self, row: StoredMessage) -> None:
        """Set a message aside that is too large even to be looked at, and keep its two ends."""
        found = self.rows.filter(pk=row.id)
        reason = str(too_large("The message", conf.current().MESSAGE_MAX_BYTES))
        logger.error("Message set aside from queue %s: %s", row.queue, reason)
        kept = payload.cut(*found.ends(payload.KEPT))
        found.set_aside(payload.aside_reason(reason, is_whole=False), payload=kept)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)
        if message is not None and no_ack:
            self.settle([message.delivery_tag])
        return message

    @contextlib.contextmanager
    def batch(self) -> Iterator[Batch]:
        """One transaction around taking messages and all that the block does.

        Messages settled before its end are deleted with it; the others stay with this consumer, without a timeout,
        until settled later. If the block fails, nothing was taken.
        """
        batch = self._batch = Batch()
        try:
            with transaction.atomic(using=self.alias):
                yield batch
                if batch.settled:
                    self.rows.remove(batch.settled)
                if batch.kept:
                    self.rows.hold(batch.kept, self.connection.owner, None)
        except BaseException:
            self.qos.forget(batch.kept | batch.settled)
            self.connection.recall(self)
            raise
        finally:
            self._batch = None

    # -- what becomes of messages that were taken

    def settle(self, tags: Collection[int]) -> None:
        """Forget consumed messages; one that others have by now, because it took too long, is theirs."""
        locked = self._unlock(tags)
        if self._batch is not None:
            self._batch.settled |= locked
        if held := set(tags) - locked:
            self.rows.remove(held, self.connection.owner)
        self.qos.forget(tags)

    def offer_again(self, tags: Collection[int]) -> None:
        """Give messages back to their queues, in their old place."""
        if not tags:
            return
        if held := set(tags) - self._unlock(tags):
            self._held(held).make_ready()
        announce(connections[self.alias], ARRIVALS)
        self.qos.forget(tags)

    def set_aside(self, tag: int, reason: str) -> None:
        """Keep a message for an operator instead of settling it."""
        locked = self._unlock([tag])
        (self.rows.filter(pk=tag) if locked else self._held([tag])).set_aside(reason)
        self.qos.forget([tag])

    def _unlock(self, tags: Collection[int]) -> set[int]:
        """Those of `tags` that the batch under way has locked; it is no longer to keep them."""
        locked = set() if self._batch is None else self._batch.kept.intersection(tags)
        if self._batch is not None:
            self._batch.kept -= locked
        return locked

    def _held(self, tags: Collection[int]) -> QueuedMessageQuerySet:
        return self.rows.owned_among(tags, self.connection.owner)

    def close(self) -> None:
        """Close, and give back what is not settled; if the database is away, the timeout does that."""
        if not self.closed:
            with contextlib.suppress(Error):
                unsettled = [] if self._qos is None else self._qos.unsettled()
                self.offer_again([*unsettled, *self.connection.recall(self)])
        super().close()

    # -- looking after queues

    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False, **kwargs: Any
    ) -> None:
        """What waits in the queue goes; what is being consumed or was set aside stays."""
        if if_empty and self._size(queue):
            return
        waiting = (QueuedMessage.State.READY, QueuedMessage.State.PARKED)
        self.rows.filter(queue=queue, state__in=waiting).delete()
        super().queue_delete(queue, **kwargs)

    def _size(self, queue: str) -> int:
        return self.rows.ready().filter(queue=queue).count()

    def _purge(self, queue: str) -> int:
        return self.rows.ready().filter(queue=queue).delete()[0]

    def wake_due(self) -> int:
        """Make due messages ready: parked ones, and those whose consumer was silent too long. How many these were."""
        due = self.rows.due(clock.to_storage(clock.database_now(connections[self.alias])))
        woken = 0
        # By key: an UPDATE over a range of the index would lock it against those who claim from it (MariaDB).
        while woken < MOST_RELAYED and (ids := list(due.values_list("id", flat=True)[:WAKE_AT_ONCE])):
            count = due.filter(id__in=ids).make_ready()
            woken += count
            if not count or len(ids) < WAKE_AT_ONCE:
                break
        return woken

    def next_due(self, within: float) -> float:
        """Seconds until something is due, at most `within`."""
        now = clock.database_now(connections[self.alias])
        due = self.rows.next_due(clock.to_storage(now + dt.timedelta(seconds=within)))
        return within if due is None else (clock.from_storage(due) - now).total_seconds()

    def missing_tables(self) -> list[str]:
        table = QueuedMessage._meta.db_table
        return [] if table in connections[self.alias].introspection.table_names() else [table]

    def has_work(self, queues: Sequence[str]) -> bool:
        now = clock.to_storage(clock.database_now(connections[self.alias]))
        here = self.rows.filter(queue__in=queues)
        return here.ready().exists() or here.due(now).exists()

    def held(self, owner: str) -> list[Taken]:
        """The messages that a consumer holds, as they were given to it."""
        found = []
        for row in self.rows.owned_by(owner):
            with contextlib.suppress(ValueError):  # somebody has spoilt it since
                found.append(Taken(row.queue, payload.from_row(row, row.payload), row.payload))
        return found

    def rescue(self, owner: str, most: int, reason: str) -> None:
        held = self.rows.owned_by(owner)
        held.filter(deliveries__gte=most).set_aside(reason)
        held.make_ready()
