"""Exchanges on brokers of their own: RabbitMQ routes itself, and for Redis the sender does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from django_tasks.brokers import declaring, queues
from django_tasks.brokers.broker import Delivery, Posting
from django_tasks.brokers.remote import Remote
from django_tasks.exceptions import Unroutable
from django_tasks.message.message import Envelope
from tests.services import RabbitMQ, Server

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES: Any = {
    "mail": {"exchange": "shop", "routing_key": "order"},
    "audit": {"exchange": "shop", "routing_key": "order"},
    "images": {"exchange": "media", "exchange_type": "topic", "routing_key": "images.#"},
    "small": {"exchange": "media", "exchange_type": "topic", "routing_key": "*.small"},
    "here": {"exchange": "everywhere", "exchange_type": "fanout"},
    "there": {"exchange": "everywhere", "exchange_type": "fanout"},
}
WAYS = [
    ("shop", "order", {"mail", "audit"}),
    ("media", "images", {"images"}),
    ("media", "images.small", {"images", "small"}),
    ("everywhere", "", {"here", "there"}),
]


@pytest.fixture(autouse=True)
def _queues(settings: Any) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": QUEUES}


@pytest.fixture
def open_broker() -> Iterator[Callable[[Server], Remote]]:
    opened: list[Remote] = []

    def open_(server: Server) -> Remote:
        opened.append(Remote(server.url, {}))
        return opened[-1]

    yield open_
    for broker in opened:
        broker.pool().force_close_all()


def posting(exchange: str, routing_key: str, **more: Any) -> Posting:
    envelope = Envelope(
        headers={"task": "t", "id": "1"},
        body="[]",
        content_type="application/json",
        content_encoding="utf-8",
    )
    found = queues.reached(exchange, routing_key)
    return Posting(envelope=envelope, queue=found[0], exchange=exchange, routing_key=routing_key, **more)


def received(broker: Remote) -> list[Delivery]:
    found: list[Delivery] = []
    for name in queues.declared():
        while broker.size(name):
            receiver = broker.receiver([name], "me")
            with receiver.receive(10) as deliveries:
                receiver.settle(deliveries)
            receiver.close()
            found += deliveries
    return found


@pytest.mark.parametrize(("exchange", "routing_key", "reached"), WAYS)
@pytest.mark.parametrize("mandatory", [True, False])
def test_adv_01_opt_27_each_queue_that_the_exchange_has_for_it_gets_it(
    open_broker: Any,
    shared_server: Server,
    exchange: str,
    routing_key: str,
    reached: set[str],
    mandatory: bool,
) -> None:
    """Also where nobody has declared them before."""
    broker = open_broker(shared_server)

    broker.publish([posting(exchange, routing_key, mandatory=mandatory)])
    broker.publish([posting(exchange, routing_key, mandatory=mandatory)])

    found = received(broker)
    assert sorted(delivery.queue for delivery in found) == sorted([*reached, *reached])


@pytest.mark.parametrize(("exchange", "routing_key", "reached"), WAYS)
def test_adv_01_what_waits_for_a_transaction_goes_to_each_of_them_too(
    open_broker: Any, shared_server: Server, exchange: str, routing_key: str, reached: set[str]
) -> None:
    broker = open_broker(shared_server)

    with transaction.atomic():
        broker.publish([posting(exchange, routing_key)])
        assert broker.is_empty(queues.declared())

    assert {delivery.queue for delivery in received(broker)} == reached


@pytest.mark.rabbitmq
def test_adv_01_a_delivery_says_which_way_it_came(open_broker: Any, rabbitmq_server: RabbitMQ) -> None:
    broker = open_broker(rabbitmq_server)

    broker.publish([posting("media", "images.small"), replace(posting("media", "images"), exchange="")])

    found = {(delivery.queue, delivery.exchange, delivery.routing_key) for delivery in received(broker)}
    assert found == {
        ("images", "media", "images.small"),
        ("small", "media", "images.small"),
        ("images", "", "images"),
    }


@pytest.mark.rabbitmq
def test_adv_01_queues_that_somebody_deleted_are_declared_again(
    open_broker: Any, rabbitmq_server: RabbitMQ
) -> None:
    broker = open_broker(rabbitmq_server)
    broker.publish([posting("everywhere", "")])
    rabbitmq_server.empty()

    broker.publish([posting("everywhere", "")])

    assert {delivery.queue for delivery in received(broker)} == {"here", "there"}


@pytest.mark.rabbitmq
def test_opt_27_what_rabbitmq_gives_back_twice_is_an_error(
    open_broker: Any, rabbitmq_server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody deletes the queues as soon as they are declared."""
    broker = open_broker(rabbitmq_server)
    broker.publish([posting("shop", "order")])
    declare = declaring.declare

    def in_vain(channel: Any, queue: str) -> None:
        declare(channel, queue)
        channel.queue_delete(queue)

    monkeypatch.setattr(declaring, "declare", in_vain)
    rabbitmq_server.empty()

    with pytest.raises(Unroutable, match="no queue for what is sent to"):
        broker.publish([posting("shop", "order", mandatory=True)])


def test_what_was_stored_for_a_queue_that_is_declared_no_more_is_delivered_to_it(
    open_broker: Any, shared_server: Server, settings: Any
) -> None:
    broker = open_broker(shared_server)
    old = replace(posting("shop", "order"), exchange="")
    settings.DJANGO_TASKS = {}

    broker.publish([old])

    assert broker.size("mail") == 1
