"""Answers at the queue of who waits for them, over RabbitMQ and over Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu
import pytest

from django_tasks import uuid
from django_tasks.brokers.handler import broker
from django_tasks.brokers.replying import Reply
from tests.services import Redis, Server

pytestmark = pytest.mark.django_db


def a_reply(to: str, id: str = "one") -> Reply:
    return Reply(to=to, correlation_id=id, record='{"status": "SUCCESS"}')


def received(url: str, queue: str, replies: list[Reply]) -> list[Any]:
    """Wait at a queue as Celery's programs do, send, and take what has come."""
    with kombu.Connection(url) as connection, connection.channel() as channel:
        bound = kombu.Queue(queue, durable=False, expires=60, channel=channel)
        bound.declare()
        broker().reply(replies)
        found = []
        while (message := bound.get(no_ack=True)) is not None:
            found.append((message.payload, message.properties["correlation_id"]))
        return found


def test_a_reply_arrives_with_its_id(shared_server: Server, use_broker: Callable[[str], None]) -> None:
    use_broker(shared_server.url)
    queue = str(uuid())

    found = received(shared_server.url, queue, [a_reply(queue, "one"), a_reply(queue, "two")])

    assert found == [({"status": "SUCCESS"}, "one"), ({"status": "SUCCESS"}, "two")]


def test_what_cannot_be_delivered_keeps_nothing_else_from_it(
    shared_server: Server, use_broker: Callable[[str], None]
) -> None:
    use_broker(shared_server.url)
    queue = str(uuid())
    names = ["ü" * 200, "a b", "a/b", "x" * 101, "../x", "line\n", "\x1b[2J"]
    nonsense = [*map(a_reply, names), a_reply(queue, "ü" * 200), a_reply(str(uuid())), a_reply("default")]

    found = received(shared_server.url, queue, [*nonsense, a_reply(queue)])

    assert found == [({"status": "SUCCESS"}, "one")]
    assert broker().size("default") == 0


@pytest.mark.redis
def test_on_redis_nothing_is_written_to_what_is_no_queue_of_celery_s(
    redis_server: Redis, use_broker: Callable[[str], None]
) -> None:
    use_broker(redis_server.url)
    with redis_server.client() as client:
        client.set("cache", "of somebody else")
        client.rpush("list", "of somebody else")

        broker().reply([a_reply("cache"), a_reply("list")])

        assert client.get("cache") == b"of somebody else"
        assert (client.llen("list"), client.ttl("list")) == (1, -1)
