"""What a kombu channel delivers, kept as it came until it is known to be small enough."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import kombu
import pytest
from django.db import connection
from django.test import override_settings

from django_tasks.brokers import payload
from django_tasks.brokers.broker import Delivery
from django_tasks.brokers.handler import broker
from django_tasks.brokers.unpacking import deliver_packed, delivery_of, unread
from django_tasks.exceptions import DecodeError
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage
from tests.hostile import GOOD, RAW, Hostile, packed, send, zeros

QUEUE = "unpacking"
#: These can be read as messages; what is wrong with them is not kombu's business.
ORDERLY = [text for text in RAW if text.startswith("{") and json.loads(text).get("headers") == {"task": 5}]


class Stranger:
    """A kombu channel in memory, of which everything is put and taken by hand."""

    def __init__(self, connection: kombu.Connection) -> None:
        self.connection = connection
        self.channel = connection.channel()
        self.producer = kombu.Producer(connection.channel())
        self.got: list[Any] = []
        deliver_packed(self.channel)
        queue = kombu.Queue(QUEUE, exchange="", routing_key=QUEUE)
        queue(self.channel).declare()
        queue(self.channel).purge()
        consumer = kombu.Consumer(self.channel, [queue], on_message=self.got.append, auto_declare=False)
        consumer.consume()

    def put_raw(self, text: str) -> None:
        self.channel._put(QUEUE, json.loads(text))

    def delivery(self) -> Delivery:
        self.connection.drain_events(timeout=5)
        return delivery_of(self.got[-1], queue=QUEUE)


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with kombu.Connection("memory://") as connection:
        yield Stranger(connection)


def good(**more: Any) -> Hostile:
    return Hostile(name="good", **more)


def test_a_message_is_unpacked_and_keeps_the_header_that_says_it_was_compressed(stranger: Stranger) -> None:
    send(stranger.producer, packed("good", zlib.compress(GOOD)), queue=QUEUE, id="1")

    delivery = stranger.delivery()

    assert delivery.refusal is None
    assert delivery.envelope.body == GOOD
    assert delivery.envelope.headers["compression"] == "gzip"
    assert delivery.envelope.content_type == "application/json"
    assert delivery.tag == stranger.got[-1].delivery_tag


def test_a_message_that_is_put_back_comes_again_as_it_was(stranger: Stranger) -> None:
    send(stranger.producer, packed("good", zlib.compress(GOOD)), queue=QUEUE, id="1")
    stranger.delivery()

    stranger.got[-1].requeue()

    assert stranger.delivery().envelope.body == GOOD


def test_what_is_too_large_when_unpacked_is_delivered_as_it_came_with_the_reason(stranger: Stranger) -> None:
    body = zeros(20_000_000)
    send(stranger.producer, packed("zeros", body), queue=QUEUE, id="1")

    delivery = stranger.delivery()

    assert "MESSAGE_MAX_BYTES" in str(delivery.refusal)
    assert delivery.envelope.body == body


@pytest.mark.parametrize(
    "text",
    [text for text in RAW if text not in ORDERLY and text not in ("garbage", "", "[" * 100_000)],
)
def test_what_is_no_message_of_kombus_is_delivered_with_the_reason_and_can_be_acknowledged(
    stranger: Stranger, text: str
) -> None:
    stranger.put_raw(text)

    delivery = stranger.delivery()
    stranger.got[-1].ack()

    assert isinstance(delivery.refusal, DecodeError)
    assert payload.aside_text(delivery)


def test_what_json_does_not_have_becomes_what_rows_can_keep() -> None:
    """AMQP has moments, decimals and bytes in headers, in dead letters for one."""

    class Arrived:
        body = memoryview(GOOD)
        content_type, content_encoding = "application/json", "utf-8"
        delivery_tag, delivery_info = 1, {}
        headers = {
            "task": "t",
            "x-death": [{"time": dt.datetime(2026, 1, 1), "count": 1, b"\xff": Decimal("1.5")}],
            "bytes": b"a\xff",
        }
        properties = {"application_headers": headers, "timestamp": dt.datetime(2026, 1, 1)}

    envelope = delivery_of(Arrived(), queue=QUEUE).envelope

    assert envelope.headers == {
        "task": "t",
        "x-death": [{"time": "2026-01-01T00:00:00", "count": 1, "\\xff": "1.5"}],
        "bytes": "a\\xff",
    }
    assert envelope.properties == {"timestamp": "2026-01-01T00:00:00"}
    assert Envelope.from_text(envelope.to_text()).body == GOOD


def test_the_limit_is_a_setting(stranger: Stranger) -> None:
    for size in (999, 1000, 1001):
        send(stranger.producer, good(body=b"x" * size), queue=QUEUE, id="1")

    with override_settings(DJANGO_TASKS={"MESSAGE_MAX_BYTES": 1000}):
        refused = [stranger.delivery().refusal is not None for _ in range(3)]

    assert refused == [False, False, True]


def test_headers_have_the_same_limit(stranger: Stranger) -> None:
    for value in ("x" * 800, "x" * 1000, [0] * 1001, {str(number): 0 for number in range(300)}):
        send(stranger.producer, good(headers={"x": value}), queue=QUEUE, id="1")

    with override_settings(DJANGO_TASKS={"MESSAGE_MAX_BYTES": 1000}):
        refused = [stranger.delivery().refusal is not None for _ in range(4)]

    assert refused == [False, True, True, True]


# -- set aside, as a row


def set_aside(delivery: Delivery) -> QueuedMessage:
    row = payload.aside_row(delivery, "No \x00 good.", connection)
    row.save()
    return row


def received() -> Delivery:
    with broker().receiver([QUEUE], "me").receive(1) as (delivery,):
        return delivery


@pytest.mark.django_db
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_message_of_a_broker_elsewhere_is_set_aside_whole_and_comes_back_when_it_is_replayed(
    stranger: Stranger, compression: str | None
) -> None:
    sent = packed("good", zlib.compress(GOOD)) if compression else good()
    send(stranger.producer, sent, queue=QUEUE, id="1")

    row = set_aside(stranger.delivery())

    assert (row.state, row.queue, row.reason) == ("aside", QUEUE, "No \\x00 good.")
    assert QueuedMessage.objects.replay() == 1
    back = received()
    assert back.refusal is None
    assert (back.envelope.body, back.queue, back.envelope.headers["id"]) == (GOOD, QUEUE, "1")


@pytest.mark.django_db
def test_a_refused_message_comes_back_as_it_came_and_is_read_when_the_limit_is_raised(
    stranger: Stranger,
) -> None:
    send(stranger.producer, packed("zeros", zeros(2_000_000)), queue=QUEUE, id="1")
    with override_settings(DJANGO_TASKS={"MESSAGE_MAX_BYTES": 100_000}):
        row = set_aside(stranger.delivery())

    row.refresh_from_db()
    assert QueuedMessage.objects.replay() == 1
    assert received().envelope.body == b"0" * 2_000_000


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"x" * 200_000, b"\xff" * 200_000, b'"' * 200_000])
def test_of_a_body_that_is_too_large_the_ends_are_kept_and_it_is_not_replayed(
    stranger: Stranger, body: bytes
) -> None:
    send(stranger.producer, good(body=body), queue=QUEUE, id="the id")
    with override_settings(DJANGO_TASKS={"MESSAGE_MAX_BYTES": 100_000}):
        row = set_aside(stranger.delivery())

    assert "cannot be replayed" in row.reason
    assert len(row.payload) < 200_000
    kept = json.loads(row.payload)
    assert kept["cut_from"] == 200_000
    assert "the id" in kept["end"]
    assert QueuedMessage.objects.replay() == 0
    assert QueuedMessage.objects.aside().count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers", [{"x": "\x00\ud800"}, {"x": "x" * 500_000}, {"x": float("nan")}, {"x": {1: object()}}]
)
def test_whatever_headers_there_are_the_row_can_be_stored(headers: dict[str, Any]) -> None:
    envelope = Envelope(
        headers=headers, body=b"\xff", content_type="\ud800", content_encoding="", properties={}
    )
    delivery = Delivery(queue="q" * 300, envelope=envelope, tag=1, refusal=DecodeError("No."))

    with override_settings(DJANGO_TASKS={"MESSAGE_MAX_BYTES": 100_000}):
        row = set_aside(delivery)

    row.refresh_from_db()
    assert json.loads(row.payload)
    assert len(row.queue) == 100


@pytest.mark.django_db
def test_a_message_that_was_tried_too_often_may_be_tried_as_often_again() -> None:
    broker().publish([])
    row = QueuedMessage(queue=QUEUE, state="aside", reason="tried", payload="{}", deliveries=9)
    row.sent_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    row.save()

    assert QueuedMessage.objects.replay() == 1

    row.refresh_from_db()
    assert (row.state, row.deliveries, row.reason) == ("ready", 0, "tried")


@pytest.mark.django_db
def test_of_what_was_not_even_read_both_ends_are_kept() -> None:
    text = b'{"body": "' + b"x" * 5_000_000 + b'", "headers": {"id": "the id"}}'

    row = set_aside(unread(text, queue=QUEUE, tag=1))

    kept = json.loads(row.payload)
    assert kept["cut_from"] == len(text)
    assert "xxx" in kept["beginning"]
    assert kept["end"].endswith('"headers": {"id": "the id"}}')
    assert QueuedMessage.objects.replay() == 0


@pytest.mark.django_db
def test_only_what_was_set_aside_is_replayed() -> None:
    for state in ("ready", "claimed", "parked", "aside"):
        row = QueuedMessage(queue=QUEUE, state=state, payload="{}")
        row.sent_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        row.save()

    assert QueuedMessage.objects.replay() == 1

    assert sorted(QueuedMessage.objects.values_list("state", flat=True)) == [
        "claimed",
        "parked",
        "ready",
        "ready",
    ]
