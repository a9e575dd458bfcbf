"""Consumers side by side, each in a thread with connections of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import kombu
import pytest
from django.db import connection, transaction

from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage
from tests.threads import Errand

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 400


def fill(many: int, *, queue: str = "default") -> None:
    broker().publish([posting(number, queue=queue) for number in range(many)])


def posting(number: int, *, queue: str = "default") -> Posting:
    envelope = Envelope(
        headers={}, body=str(number), content_type="application/json", content_encoding="utf-8"
    )
    return Posting(envelope=envelope, queue=queue)


def consume_all(ready: threading.Barrier, prefetch_count: int) -> list[int]:
    """Consume and acknowledge until nothing comes any more."""
    got: list[int] = []

    def keep(message: Any) -> None:
        got.append(message.payload)
        message.ack()

    with kombu.Connection("django://") as opened:
        consumer = kombu.Consumer(
            opened.channel(), [kombu.Queue("default")], on_message=keep, prefetch_count=prefetch_count
        )
        consumer.consume()
        ready.wait(30)
        while True:
            try:
                opened.drain_events(timeout=0.3)
            except TimeoutError:
                return got


@pytest.mark.parametrize("prefetch_count", [0, 1, 7])
def test_no_message_comes_to_two_consumers(prefetch_count: int) -> None:
    fill(MANY)
    ready = threading.Barrier(3)

    errands = [Errand(lambda: consume_all(ready, prefetch_count)) for _ in range(3)]
    got = Counter(number for errand in errands for number in errand.result())

    assert got == Counter(range(MANY))
    assert not QueuedMessage.objects.exists()


@pytest.mark.parametrize("transaction_mode", ["DEFERRED", "IMMEDIATE"])
def test_consumers_on_sqlite_wait_for_each_other_in_every_mode(
    transaction_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the modes are those of SQLite")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "transaction_mode", transaction_mode)
    fill(100)
    ready = threading.Barrier(3)

    errands = [Errand(lambda: consume_all(ready, 1)) for _ in range(3)]

    assert Counter(number for errand in errands for number in errand.result()) == Counter(range(100))


def receive_all(ready: threading.Barrier, owner: str) -> list[int]:
    receiver = broker().receiver(["default", "other"], owner)
    got: list[int] = []
    ready.wait(30)
    while True:
        # As the worker's own loop, which locks first (see worker/sqlite.py).
        with receiver.receive(20) as deliveries:
            got += [int(delivery.envelope.body) for delivery in deliveries]
            receiver.settle(deliveries)
        if not deliveries:
            receiver.close()
            return got


def test_receivers_producers_and_the_relay_do_not_get_into_each_others_way() -> None:
    fill(MANY)
    ready = threading.Barrier(4)

    def send_more() -> list[int]:
        ready.wait(30)
        for number in range(MANY, MANY + 50):
            broker().publish([posting(number, queue="other"), posting(number + 1000)])
            broker().relay()
        return []

    errands = [Errand(lambda owner=owner: receive_all(ready, owner)) for owner in ("a", "b", "c")]
    sender = Errand(send_more)
    sender.result()
    got = Counter(number for errand in errands for number in errand.result())
    got.update(receive_all(threading.Barrier(1), "d"))

    expected = [*range(MANY), *range(MANY, MANY + 50), *range(MANY + 1000, MANY + 1050)]
    assert got == Counter(expected)


def test_a_message_locked_by_one_receiver_is_passed_over_by_another() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite locks the whole database: the other one waits")
    fill(2)
    first, second = broker().receiver(["default"], "first"), None

    with first.receive(1) as mine:
        theirs = Errand(lambda: receive_all(threading.Barrier(1), "second")).result()
        first.settle(mine)

    assert [int(delivery.envelope.body) for delivery in mine] == [0]
    assert theirs == [1]
    assert second is None
    first.close()


def test_an_uncommitted_message_is_seen_by_nobody() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets nobody in while somebody writes")

    with transaction.atomic():
        fill(1)
        seen_before = Errand(lambda: receive_all(threading.Barrier(1), "other")).result()

    assert seen_before == []
    assert receive_all(threading.Barrier(1), "me") == [0]


def test_threads_can_share_one_broker() -> None:
    shared = broker()
    ready = threading.Barrier(4)

    def send(first: int) -> Callable[[], None]:
        def run() -> None:
            ready.wait(30)
            for number in range(first, first + 50):
                shared.publish([posting(number)])

        return run

    for errand in [Errand(send(thread * 50)) for thread in range(4)]:
        errand.result()

    assert Counter(receive_all(threading.Barrier(1), "me")) == Counter(range(200))
