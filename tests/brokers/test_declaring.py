"""Queues as RabbitMQ gets them declared: by Celery and by us, in either order, and with the same deliveries."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import kombu
import pytest

from django_tasks.brokers import queues

celery = pytest.importorskip("celery", reason="Celery is not installed: there is nobody to declare with")
pytestmark = pytest.mark.rabbitmq
URL = os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")


class Place:
    """Some names on a shared server that are nobody else's."""

    def __init__(self, connection: kombu.Connection) -> None:
        self.connection = connection
        self.prefix = f"h{uuid.uuid4().hex[:8]}."

    def named(self, said: Any) -> Any:
        """What a mapping says of queues, with these names. New objects each time: kombu's are not to be shared."""
        return {
            self.prefix + name: None
            if about is None
            else {key: self.prefix + value if key == "exchange" else value for key, value in about.items()}
            for name, about in said.items()
        }

    def channel(self) -> Any:
        return self.connection.channel()

    def forget(self) -> None:
        for name in queues.declared():
            channel = self.channel()
            channel.queue_delete(name)
            for binding in queues.find(name).bindings:
                channel.exchange_delete(binding.exchange)


@pytest.fixture
def place(settings: Any) -> Iterator[Place]:
    with kombu.Connection(URL, transport_options={"confirm_publish": True}) as connection:
        place = Place(connection)
        yield place
        place.forget()


PLAIN: Any = {"plain": None}
SAID: Any = {
    "media": {"exchange": "media", "exchange_type": "topic", "routing_key": "images.#"},
    "small": {"exchange": "media", "exchange_type": "topic", "binding_key": "*.small"},
    "order": {"exchange": "shop", "exchange_type": "direct", "routing_key": "order", "max_priority": 9},
    "audit": {"exchange": "shop", "queue_arguments": {"x-queue-type": "quorum"}, "routing_key": "order"},
    "here": {"exchange": "all", "exchange_type": "fanout", "message_ttl": 60},
    "there": {"exchange": "all", "exchange_type": "fanout", "queue_arguments": {"x-max-priority": 3}},
}


def declare_ours(place: Place) -> None:
    for name in queues.declared():
        queues.to_kombu(name)(place.channel()).declare()


def declare_celery_s(place: Place, said: Any) -> None:
    app = celery.Celery("declaring", broker=URL, set_as_current=False)
    app.conf.task_default_queue = place.prefix + "default"
    # Celery 5 makes a queue of any name that is used, and wants the others as objects, or as a mapping.
    if None not in said.values():
        app.conf.task_queues = place.named(said)
    for name in place.named(said):
        app.amqp.queues[name](place.channel()).declare()


@pytest.mark.parametrize("said", [PLAIN, SAID], ids=["names", "mapping"])
@pytest.mark.parametrize("ours_first", [True, False])
def test_adv_01_celery_declares_the_same(place: Place, settings: Any, said: Any, ours_first: bool) -> None:
    """RabbitMQ closes the channel on who declares anything otherwise the second time."""
    settings.DJANGO_TASKS = {"TASK_DEFAULT_QUEUE": f"{place.prefix}default", "TASK_QUEUES": place.named(said)}

    if ours_first:
        declare_ours(place)
        declare_celery_s(place, said)
    else:
        declare_celery_s(place, said)
        declare_ours(place)

    assert [place.channel().queue_declare(name, passive=True).queue for name in queues.declared()] == list(
        queues.declared()
    )


@pytest.mark.parametrize(
    ("exchange", "routing_key"),
    [
        ("media", "images"),
        ("media", "images.small"),
        ("media", "films.small"),
        ("shop", "order"),
        ("all", ""),
        ("all", "whatever"),
    ],
)
def test_adv_01_rabbitmq_delivers_where_we_say_that_an_exchange_leads(
    place: Place, settings: Any, exchange: str, routing_key: str
) -> None:
    settings.DJANGO_TASKS = {"TASK_DEFAULT_QUEUE": f"{place.prefix}default", "TASK_QUEUES": place.named(SAID)}
    declare_ours(place)
    channel = place.channel()

    kombu.Producer(channel).publish("x", exchange=place.prefix + exchange, routing_key=routing_key)

    arrived = tuple(name for name in queues.declared() if channel.basic_get(name, no_ack=True))
    assert arrived == queues.reached(place.prefix + exchange, routing_key)
    assert arrived
