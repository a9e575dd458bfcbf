"""The same hostile messages over Redis and RabbitMQ: good tasks run, the others are kept once, the worker stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import kombu
import pytest
from django.db import connection

from django_tasks import states
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.models.batches import most_bytes
from tests.hostile import HOSTILE, RAW, Hostile, bomb, heavy, send
from tests.ledger.models import Entry
from tests.ledger.tasks import note
from tests.services import Redis, Server
from tests.workers import Start, eventually

from .test_hostile_input import ACCEPTING, aside, peak

pytestmark = [pytest.mark.worker, pytest.mark.timeout(300)]

GOOD = 300


@pytest.fixture(autouse=True)
def _on_a_broker(shared_server: Server, use_broker: Callable[[str], None]) -> None:
    use_broker(shared_server.url)


def put(server: Server, messages: Sequence[Hostile]) -> int:
    """How many of them were sent."""
    fitting = messages if isinstance(server, Redis) else [one for one in messages if fits_amqp(one)]
    with kombu.Connection(server.url) as stranger, stranger.channel() as channel:
        kombu.Queue("default", kombu.Exchange("default"), routing_key="default")(channel).declare()
        for number, hostile in enumerate(fitting):
            send(kombu.Producer(channel), hostile, queue="default", id=f"hostile-{number}")
    return len(fitting)


def fits_amqp(message: Hostile) -> bool:
    """It has no words for some of them, and a header that is no number makes RabbitMQ end the connection."""
    return message.fits_amqp and not any(word in repr(message.headers) for word in ("nan", "inf"))


def put_raw(server: Server) -> int:
    """What is no message at all can be put into a list of Redis."""
    if not isinstance(server, Redis):
        return 0
    with server.client() as client:
        client.lpush("default", *RAW)
    return len(RAW)


def test_of_good_tasks_among_hostile_messages_all_run_and_each_of_the_others_is_kept_once(
    shared_server: Server, start_worker: Start
) -> None:
    many = put(shared_server, [one for one in HOSTILE if not one.is_large]) + put_raw(shared_server)
    note.bulk([(number,) for number in range(GOOD)])
    assert many > 80

    worker = start_worker("--processes=2", **ACCEPTING)
    processes = worker.family()
    eventually(lambda: not TaskResult.objects.exclude(status=states.SUCCESS).exists(), "all have ended")
    eventually(lambda: aside() >= many, "all are looked at")

    assert sorted(Entry.objects.values_list("number", flat=True)) == list(range(GOOD))
    assert TaskResult.objects.count() == GOOD
    assert aside() == many
    assert all(len(reason) > 20 for reason in QueuedMessage.objects.values_list("reason", flat=True))
    assert worker.children() == processes


def test_a_bomb_and_a_body_of_50_mb_do_not_fill_the_memory(
    shared_server: Server, start_worker: Start
) -> None:
    worker = start_worker("--processes=1")
    assert note.delay(1).get(timeout=45) == 1
    (_, process) = worker.children()
    before = peak(process)
    large: list[Any] = [bomb()] if most_bytes(connection) is not None else [bomb(), heavy()]

    assert put(shared_server, large) == len(large)
    eventually(lambda: aside() == len(large), "they are set aside")

    assert note.delay(2).get(timeout=45) == 2
    # py-amqp has a message twice while it puts its frames together; the bomb is never unpacked.
    assert peak(process) - before < 120
    assert worker.children()[1] == process
