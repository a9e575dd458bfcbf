"""Receiving over a kombu consumer, to which the broker sends ahead: RabbitMQ, and any transport that kombu has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import kombu

from django_tasks import clock
from django_tasks.service import readable

from .broker import Delivery
from .consuming import RemoteReceiver, Ticket
from .unpacking import delivery_of

#: Seconds to wait for one message more while a batch is collected.
PATIENCE = 0.005
#: Seconds after which the socket is read whatever was heard.
LISTEN = 10.0
#: Seconds between heartbeats being looked after.
BEAT = 1.0


class PrefetchingReceiver(RemoteReceiver):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.is_amqp = self.connection.transport.driver_type == "amqp"
        #: How many messages may be under way to us; 0 while we rest.
        self.prefetch = 0
        self._beat_at = clock.monotonic()
        self.attend()

    def attend(self) -> None:
        self.consumers = [self._consumer(name) for name in self.queues]

    def _consumer(self, queue: str) -> kombu.Consumer:
        arrive = partial(self._arrive, queue)
        # By its name alone: it was declared before, and a binding is no business of who consumes.
        named = kombu.Queue(queue, exchange="", routing_key=queue)
        return kombu.Consumer(self.channel, [named], on_message=arrive, auto_declare=False)

    def _arrive(self, queue: str, message: Any) -> None:
        self._arrived.append(delivery_of(message, queue=queue, tag=Ticket(message)))

    def fetch(self, limit: int) -> None:
        self._ask_for(limit)
        self._drain(limit)

    def _ask_for(self, limit: int) -> None:
        """Have messages come, about as many at a time as are wanted."""
        if limit <= self.prefetch:
            return
        # AMQP: a prefetch count holds for consumers that begin after it was set, and quorum queues know no other.
        self._cancel()
        self.prefetch = max(limit, 2 * self.prefetch)
        self.channel.basic_qos(0, self.prefetch, False)
        for consumer in self.consumers:
            consumer.consume()

    def _drain(self, limit: int) -> None:
        while len(self._arrived) < limit and (not self.is_amqp or self._has_input()):
            try:
                self.connection.drain_events(timeout=PATIENCE)
            except TimeoutError:
                return

    def acknowledge(self, done: Sequence[Delivery], back: Sequence[Delivery]) -> None:
        for delivery in back:
            delivery.tag.message.requeue()
        if done and self.is_amqp:
            # They came in this order, and nothing older is open.
            done[-1].tag.message.ack(multiple=True)
        else:
            for delivery in done:
                delivery.tag.message.ack()

    def put_back(self) -> None:
        self._cancel()
        self.prefetch = 0
        while self._arrived:
            self._arrived.popleft().tag.message.requeue()

    def _cancel(self) -> None:
        if self.prefetch:
            for consumer in self.consumers:
                consumer.cancel()

    # -- hearing of messages

    @property
    def patience(self) -> float:
        return LISTEN if self.is_amqp else super().patience

    @property
    def sockets(self) -> Sequence[int]:
        return [self.connection.connection.sock.fileno()] if self.is_amqp else ()

    def looks_new(self) -> bool:
        return not self.prefetch or not self.is_amqp or bool(self._arrived) or self._has_input()

    def _has_input(self) -> bool:
        """Also what TLS has deciphered ahead, of which the descriptor knows nothing any more."""
        pending = getattr(self.connection.connection.sock, "pending", int)
        return bool(pending() or readable(self.sockets, 0))

    def keep_alive(self) -> None:
        if self.is_amqp and clock.monotonic() - self._beat_at > BEAT:
            self._beat_at = clock.monotonic()
            with self._telling():
                # The broker's signs of life count when they are read, which nobody else does while there is no room.
                self._drain(self.prefetch + 1)
                self.connection.heartbeat_check()
