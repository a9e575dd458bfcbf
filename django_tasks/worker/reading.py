"""What a delivery says, if it may be read: whole, of an accepted kind and, where messages are signed, ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from django_tasks import conf
from django_tasks.brokers import queues
from django_tasks.brokers.broker import Delivery
from django_tasks.exceptions import NotSigned
from django_tasks.message import signing
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import decode
from django_tasks.message.saferepr import saferepr


def read(delivery: Delivery, accept: Collection[str]) -> TaskMessage:
    """Raises `DecodeError`, and nothing else."""
    if delivery.refusal is not None:
        raise delivery.refusal
    # Before the body is read: of a stranger's not even a serializer is to see anything.
    signed = _signed(delivery) if conf.current().MESSAGE_SIGNING else None
    message = decode(
        delivery.envelope,
        queue=delivery.queue,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        accept=accept,
    )
    if signed is None:
        return message
    headers = {name: value for name, value in message.headers.items() if _is_signed(name, signed)}
    return dataclasses.replace(message, headers=headers)


def _signed(delivery: Delivery) -> signing.Signed:
    signed = signing.check(delivery.envelope)
    if delivery.queue not in _led_to(signed):
        where = signed.exchange or signed.routing_key
        raise NotSigned(
            f"It was sent to {saferepr(where, most=80)} and came by the queue {delivery.queue!r}, which the signature "
            "is not for. Move it back in the broker, or send the task again."
        )
    return signed


def _led_to(signed: signing.Signed) -> tuple[str, ...]:
    """The queues that it may come by."""
    return queues.reached(signed.exchange, signed.routing_key) if signed.exchange else (signed.routing_key,)


def _is_signed(name: str, signed: signing.Signed) -> bool:
    return name in signing.OURS or name in signed.headers
