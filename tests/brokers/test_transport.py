"""`django://` as an ordinary kombu transport, used through kombu's own objects."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pickle
from collections.abc import Callable
from multiprocessing import util
from typing import Any

import kombu
import pytest
from django.db import InterfaceError, OperationalError
from kombu.exceptions import ChannelError
from kombu.simple import SimpleQueue

from django_tasks import clock
from django_tasks.brokers import publishing
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.channel import Channel
from django_tasks.brokers.embedded import Embedded
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.models import QueuedMessage

pytestmark = pytest.mark.django_db

Opener = Callable[..., Any]


def publish(on: Any, body: object, *, to: str = "default", **options: Any) -> None:
    kombu.Producer(on.channel()).publish(body, routing_key=to, **options)


def get(on: Any, queue: str = "default", **options: Any) -> Any:
    return on.default_channel.basic_get(queue, **options)


def bodies(messages: list[Any]) -> list[Any]:
    return [message.payload for message in messages]


class Consumed:
    """A consumer that keeps what it gets."""

    def __init__(self, on: Any, *queues: str, **options: Any) -> None:
        self.on = on
        self.messages: list[Any] = []
        self.consumer = kombu.Consumer(
            on.channel(), [kombu.Queue(name) for name in queues], on_message=self.messages.append, **options
        )
        self.consumer.consume()

    def drain(self) -> list[Any]:
        """All that is there."""
        while True:
            try:
                self.on.drain_events(timeout=0)
            except TimeoutError:
                return self.messages


def state_of(message: Any) -> str:
    return QueuedMessage.objects.get(pk=message.delivery_tag).state


def test_a_published_message_reaches_a_consumer(broker_connection: Any) -> None:
    consumed = Consumed(broker_connection, "default")

    publish(broker_connection, {"number": 1}, headers={"colour": "blue"}, correlation_id="c1")

    (message,) = consumed.drain()
    assert message.payload == {"number": 1}
    assert message.headers == {"colour": "blue"}
    assert message.properties["correlation_id"] == "c1"
    assert message.delivery_info["routing_key"] == "default"


def test_an_acknowledged_message_is_gone(broker_connection: Any) -> None:
    publish(broker_connection, "x")

    get(broker_connection).ack()

    assert not QueuedMessage.objects.exists()


def test_a_rejected_message_is_gone(broker_connection: Any) -> None:
    publish(broker_connection, "x")

    get(broker_connection).reject()

    assert not QueuedMessage.objects.exists()


def test_a_requeued_message_comes_again_and_says_so(broker_connection: Any) -> None:
    publish(broker_connection, "x")

    first = get(broker_connection)
    first.requeue()
    again = get(broker_connection)

    assert not first.delivery_info["redelivered"]
    assert again.delivery_info["redelivered"]
    assert again.payload == "x"


def test_a_requeued_message_keeps_its_place(broker_connection: Any) -> None:
    for number in range(3):
        publish(broker_connection, number)

    get(broker_connection).requeue()

    assert [get(broker_connection).payload for _ in range(3)] == [0, 1, 2]


def test_an_unacknowledged_message_is_given_to_nobody_else(open_connection: Opener) -> None:
    publish(open_connection(), "x")

    taken = get(open_connection())

    assert get(open_connection()) is None
    assert state_of(taken) == "claimed"


def test_recover_gives_unacknowledged_messages_back_once(open_connection: Opener) -> None:
    consumer, other = open_connection(), open_connection()
    publish(consumer, "x")
    get(consumer)

    consumer.default_channel.basic_recover(requeue=True)

    assert get(other).payload == "x"
    assert QueuedMessage.objects.count() == 1


def test_nothing_to_get_is_none(broker_connection: Any) -> None:
    assert get(broker_connection) is None


def test_lower_numbers_are_served_first_and_equals_in_their_order(broker_connection: Any) -> None:
    for number, priority in enumerate((9, 0, 5, 0, None)):
        publish(broker_connection, number, priority=priority)

    assert [get(broker_connection).payload for _ in range(5)] == [1, 3, 4, 2, 0]


def test_a_full_queue_does_not_starve_another(broker_connection: Any) -> None:
    consumed = Consumed(broker_connection, "default", "other", prefetch_count=1)
    for number in range(4):
        publish(broker_connection, number, to="default")
        publish(broker_connection, number, to="other")

    for _ in range(4):
        broker_connection.drain_events(timeout=0)
        consumed.messages[-1].ack()

    assert {message.delivery_info["routing_key"] for message in consumed.messages} == {"default", "other"}


def test_no_more_than_the_prefetch_count_is_taken(broker_connection: Any) -> None:
    consumed = Consumed(broker_connection, "default", prefetch_count=2)
    for number in range(5):
        publish(broker_connection, number)

    assert bodies(consumed.drain()) == [0, 1]
    assert QueuedMessage.objects.ready().count() == 3


def test_acknowledging_makes_room_for_the_next(broker_connection: Any) -> None:
    consumed = Consumed(broker_connection, "default", prefetch_count=2)
    for number in range(5):
        publish(broker_connection, number)
    consumed.drain()

    consumed.messages[0].ack()

    assert bodies(consumed.drain()) == [0, 1, 2]


def test_one_call_of_drain_events_delivers_one_message(broker_connection: Any) -> None:
    consumed = Consumed(broker_connection, "default")
    for number in range(3):
        publish(broker_connection, number)

    broker_connection.drain_events(timeout=0)

    assert bodies(consumed.messages) == [0]


def test_without_ack_a_message_is_gone_once_it_is_delivered(broker_connection: Any) -> None:
    Consumed(broker_connection, "default", no_ack=True)
    for number in range(3):
        publish(broker_connection, number)

    broker_connection.drain_events(timeout=0)

    assert QueuedMessage.objects.count() == 2


def test_without_ack_what_was_not_delivered_yet_goes_back_on_close(open_connection: Opener) -> None:
    consumer, other = open_connection(), open_connection()
    consumed = Consumed(consumer, "default", no_ack=True)
    for number in range(3):
        publish(other, number)
    consumer.drain_events(timeout=0)

    consumer.release()

    assert bodies(consumed.messages) == [0]
    assert [get(other).payload for _ in range(2)] == [1, 2]


def test_getting_without_ack_leaves_nothing(broker_connection: Any) -> None:
    publish(broker_connection, "x")

    message = get(broker_connection, no_ack=True)

    assert message.payload == "x"
    assert not QueuedMessage.objects.exists()


def test_a_simple_queue_puts_and_gets(broker_connection: Any) -> None:
    queue = SimpleQueue(broker_connection, "default")
    queue.put({"n": 1})
    queue.put({"n": 2})

    first = queue.get(timeout=1)
    first.ack()

    assert first.payload == {"n": 1}
    assert queue.get(timeout=1).payload == {"n": 2}
    with pytest.raises(queue.Empty):
        queue.get(block=False)
    queue.close()


def test_a_queue_tells_its_size_and_can_be_purged(broker_connection: Any) -> None:
    queue = kombu.Queue("default", channel=broker_connection.channel())
    queue.declare()
    for number in range(3):
        publish(broker_connection, number)
    get(broker_connection)

    assert queue.queue_declare(passive=True).message_count == 2
    assert queue.purge() == 2
    assert QueuedMessage.objects.ready().count() == 0


def test_a_deleted_queue_has_no_messages_any_more_but_those_being_consumed(broker_connection: Any) -> None:
    publish(broker_connection, "taken")
    taken = get(broker_connection)
    publish(broker_connection, "ready")
    publish(broker_connection, "parked", deliver_at=clock.now() + dt.timedelta(hours=1))
    publish(broker_connection, "elsewhere", to="other")

    kombu.Queue("default", channel=broker_connection.channel()).delete()

    assert list(QueuedMessage.objects.values_list("state", "queue").order_by("queue")) == [
        ("claimed", "default"),
        ("ready", "other"),
    ]
    taken.ack()


def test_a_queue_in_use_is_not_deleted_if_it_must_be_empty(broker_connection: Any) -> None:
    publish(broker_connection, "x")

    kombu.Queue("default", channel=broker_connection.channel()).delete(if_empty=True)

    assert get(broker_connection).payload == "x"


def test_a_direct_exchange_delivers_by_the_routing_key(broker_connection: Any) -> None:
    exchange = kombu.Exchange("shop", type="direct")
    channel = broker_connection.channel()
    kombu.Queue("orders", exchange, routing_key="order", channel=channel).declare()

    kombu.Producer(channel, exchange=exchange).publish("x", routing_key="order")

    assert get(broker_connection, "orders").payload == "x"


def test_a_topic_exchange_delivers_to_every_queue_whose_pattern_fits(broker_connection: Any) -> None:
    exchange = kombu.Exchange("news", type="topic")
    channel = broker_connection.channel()
    for name, pattern in (("all", "#"), ("sports", "sports.*"), ("politics", "politics.*")):
        kombu.Queue(name, exchange, routing_key=pattern, channel=channel).declare()

    later = clock.now() + dt.timedelta(hours=1)
    kombu.Producer(channel, exchange=exchange).publish("x", routing_key="sports.golf", deliver_at=later)

    assert sorted(QueuedMessage.objects.values_list("queue", "state")) == [
        ("all", "parked"),
        ("sports", "parked"),
    ]


def test_what_no_binding_of_a_known_exchange_wants_goes_nowhere(broker_connection: Any) -> None:
    exchange = kombu.Exchange("shop", type="direct")
    channel = broker_connection.channel()
    kombu.Queue("orders", exchange, routing_key="order", channel=channel).declare()

    kombu.Producer(channel, exchange=exchange).publish("x", routing_key="complaint")

    assert not QueuedMessage.objects.exists()


def test_an_exchange_that_nobody_declared_here_delivers_to_the_queue_named_by_the_key(
    broker_connection: Any,
) -> None:
    kombu.Producer(broker_connection.channel()).publish("x", exchange="celery", routing_key="default")

    assert get(broker_connection).payload == "x"


def test_a_fanout_exchange_is_refused_with_a_sentence(broker_connection: Any) -> None:
    with pytest.raises(ChannelError, match="has no fanout exchanges; use a direct or a topic exchange"):
        kombu.Exchange("all", type="fanout", channel=broker_connection.channel()).declare()


@pytest.mark.parametrize("name", ["", "q" * 101, "a b", "a,b", "a/b", "ü", "a\n", "\x1b[2J", "<b>", "a*"])
def test_what_is_no_name_for_a_queue_is_refused_with_a_sentence(broker_connection: Any, name: str) -> None:
    with pytest.raises(ChannelError, match=r"letters, digits and _ \. : - only, at most 100"):
        publish(broker_connection, "x", to=name)


@pytest.mark.parametrize(
    "body",
    [pickle.dumps({"a": [1, 2.5, None]}), bytes(range(256)), b"", b"\x00text\x00", "ünï\U0001f600".encode()],
    ids=["pickle", "all bytes", "empty", "nul", "utf-8"],
)
def test_any_bytes_come_back_as_they_were(broker_connection: Any, body: bytes) -> None:
    publish(broker_connection, body, content_type="application/octet-stream", content_encoding="binary")

    message = get(broker_connection)

    assert (message.body or b"") == body
    assert message.content_encoding == "binary"


def test_a_text_body_is_stored_so_that_people_can_read_it(broker_connection: Any) -> None:
    publish(broker_connection, {"town": "Malmö"})

    assert "Malm" in QueuedMessage.objects.get().payload
    assert "base64" not in QueuedMessage.objects.get().payload


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml", "msgpack"])
def test_values_come_back_by_every_serializer(broker_connection: Any, serializer: str) -> None:
    value = {"list": [1, "two", None], "text": "\U0001f600"}

    publish(broker_connection, value, serializer=serializer)

    message = get(broker_connection)
    message.accept = {message.content_type}
    assert message.decode() == value


@pytest.mark.parametrize("compression", ["zlib", "bzip2"])
def test_a_compressed_body_comes_back_whole(broker_connection: Any, compression: str) -> None:
    publish(broker_connection, ["x" * 10_000], compression=compression)

    assert len(QueuedMessage.objects.get().payload) < 2_000
    assert get(broker_connection).payload == ["x" * 10_000]


def test_a_message_for_later_is_parked_and_does_not_come_early(broker_connection: Any) -> None:
    publish(broker_connection, "x", deliver_at=clock.now() + dt.timedelta(hours=1))

    woken = broker_connection.default_channel.wake_due()

    assert woken == 0
    assert get(broker_connection) is None
    assert QueuedMessage.objects.get().state == "parked"


def test_a_parked_message_comes_when_it_is_due(
    broker_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(broker_connection, "x", deliver_at=clock.now() + dt.timedelta(hours=1))
    monkeypatch.setattr(clock, "database_now", lambda _: clock.now() + dt.timedelta(hours=1))

    woken = broker_connection.default_channel.wake_due()

    assert woken == 1
    message = get(broker_connection)
    assert message.payload == "x"
    assert not message.delivery_info["redelivered"]


def test_a_due_moment_that_has_passed_is_now(broker_connection: Any) -> None:
    publish(broker_connection, "x", deliver_at=clock.now() - dt.timedelta(seconds=1))

    assert get(broker_connection).payload == "x"


def test_a_naive_due_moment_is_in_the_time_zone_of_the_project(broker_connection: Any, settings: Any) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"

    publish(broker_connection, "x", deliver_at=dt.datetime(2100, 1, 1, 12))

    assert clock.from_storage(QueuedMessage.objects.get().deliver_at).hour == 23


def test_more_due_messages_than_one_statement_takes_are_all_woken(
    broker_connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_tasks.brokers.channel.WAKE_AT_ONCE", 2)
    for number in range(5):
        publish(broker_connection, number, deliver_at=clock.now() + dt.timedelta(hours=1))
    monkeypatch.setattr(clock, "database_now", lambda _: clock.now() + dt.timedelta(hours=1))

    assert broker_connection.default_channel.wake_due() == 5


def test_closing_a_channel_gives_its_unacknowledged_messages_back(open_connection: Opener) -> None:
    consumer, other = open_connection(), open_connection()
    publish(other, "x")
    channel = consumer.channel()
    assert channel.basic_get("default") is not None

    channel.close()

    message = get(other)
    assert message.payload == "x"
    assert message.delivery_info["redelivered"]


def test_closing_a_connection_gives_back_what_was_taken_and_never_delivered(open_connection: Opener) -> None:
    consumer, other = open_connection(), open_connection()
    consumed = Consumed(consumer, "default")
    for number in range(3):
        publish(other, number)
    consumer.drain_events(timeout=0)

    consumer.release()

    assert bodies(consumed.messages) == [0]
    assert [get(other).payload for _ in range(3)] == [0, 1, 2]


def test_a_cancelled_consumer_gives_back_what_it_was_not_given_yet(open_connection: Opener) -> None:
    consumer, other = open_connection(), open_connection()
    consumed = Consumed(consumer, "default")
    for number in range(3):
        publish(other, number)
    consumer.drain_events(timeout=0)

    consumed.consumer.cancel()

    assert [get(other).payload for _ in range(2)] == [1, 2]
    assert get(other) is None


def test_a_callback_that_raises_costs_no_other_message(broker_connection: Any) -> None:
    seen: list[Any] = []

    def stumble(message: Any) -> None:
        seen.append(message.payload)
        if message.payload == 0:
            raise ZeroDivisionError

    consumer = kombu.Consumer(broker_connection.channel(), [kombu.Queue("default")], on_message=stumble)
    consumer.consume()
    for number in range(3):
        publish(broker_connection, number)

    with pytest.raises(ZeroDivisionError):
        broker_connection.drain_events(timeout=0)
    broker_connection.drain_events(timeout=0)
    broker_connection.drain_events(timeout=0)

    assert seen == [0, 1, 2]


def test_a_silent_consumers_message_comes_again_after_the_visibility_timeout(
    open_connection: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, other = open_connection(visibility_timeout=60), open_connection()
    publish(other, "x")
    get(silent)

    monkeypatch.setattr(clock, "database_now", lambda _: clock.now() + dt.timedelta(seconds=59))
    assert other.default_channel.wake_due() == 0
    monkeypatch.setattr(clock, "database_now", lambda _: clock.now() + dt.timedelta(seconds=61))
    assert other.default_channel.wake_due() == 1

    assert get(other).delivery_info["redelivered"]


@pytest.mark.parametrize("late_word", ["ack", "reject", "requeue"])
def test_who_was_silent_too_long_has_no_say_any_more(
    open_connection: Opener, monkeypatch: pytest.MonkeyPatch, late_word: str
) -> None:
    silent, other, third = open_connection(visibility_timeout=60), open_connection(), open_connection()
    publish(other, "x")
    late = get(silent)
    monkeypatch.setattr(clock, "database_now", lambda _: clock.now() + dt.timedelta(seconds=61))
    other.default_channel.wake_due()
    redelivered = get(other)

    getattr(late, late_word)()
    silent.release()

    assert get(third) is None
    assert state_of(redelivered) == "claimed"


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "garbage",
        "[]",
        "null",
        "{}",
        '{"properties": {}}',
        '{"properties": {"delivery_info": []}, "headers": {}, "body": ""}',
        '{"properties": {"delivery_info": {}}, "headers": [], "body": ""}',
        '{"properties": {"delivery_info": {}}, "headers": {}, "body": 5}',
        '{"properties": {"delivery_info": {}}, "headers": {}, "body": "", "content-type": []}',
        '{"properties": {"delivery_info": {}, "body_encoding": "base64"}, "headers": {}, "body": "?"}',
        '{"properties": {"delivery_info": {}, "body_encoding": "rot13"}, "headers": {}, "body": "x"}',
        "[" * 100_000,
    ],
    ids=lambda payload: payload[:75],
)
def test_a_payload_that_is_no_message_is_set_aside_and_the_next_one_comes(
    broker_connection: Any, payload: str
) -> None:
    QueuedMessage.objects.create(queue="default", payload=payload, sent_at=clock.to_storage(clock.now()))
    publish(broker_connection, "good")

    message = get(broker_connection)

    assert message.payload == "good"
    assert "not a kombu message" in QueuedMessage.objects.aside().get().reason


def test_a_consumer_of_many_gets_those_that_are_messages(broker_connection: Any) -> None:
    consumed = Consumed(broker_connection, "default")
    for number in range(4):
        publish(broker_connection, number)
    keys = sorted(QueuedMessage.objects.values_list("pk", flat=True))
    QueuedMessage.objects.filter(pk__in=keys[1:3]).update(payload="garbage")

    assert bodies(consumed.drain()) == [0, 3]
    assert QueuedMessage.objects.aside().count() == 2


def test_drain_events_says_when_nothing_came_in_time(broker_connection: Any) -> None:
    Consumed(broker_connection, "default")

    with pytest.raises(TimeoutError):
        broker_connection.drain_events(timeout=0.05)


def test_a_channel_with_two_consumers_gives_each_its_queue(broker_connection: Any) -> None:
    first, second = Consumed(broker_connection, "default"), Consumed(broker_connection, "other")
    publish(broker_connection, 1, to="default")
    publish(broker_connection, 2, to="other")

    first.drain()

    assert bodies(first.messages) == [1]
    assert bodies(second.messages) == [2]


def test_a_message_taken_by_one_channel_can_be_settled_by_another_of_the_connection(
    broker_connection: Any,
) -> None:
    # kombu keeps one callback per queue and connection: the channel that consumed last is given the message.
    Consumed(broker_connection, "default")
    last = Consumed(broker_connection, "default")
    publish(broker_connection, "x")

    last.drain()[0].ack()

    assert not QueuedMessage.objects.exists()


def test_what_the_database_says_of_a_lost_connection_is_an_error_of_the_connection(
    broker_connection: Any,
) -> None:
    assert {OperationalError, InterfaceError} <= set(broker_connection.connection_errors)


def test_a_closed_channel_leaves_nothing_behind_that_runs_at_exit(broker_connection: Any) -> None:
    before = len(util._finalizer_registry)  # type: ignore[attr-defined]
    channel: Channel = broker_connection.channel()

    channel.qos.append(None, 1)

    assert len(util._finalizer_registry) == before  # type: ignore[attr-defined]
    channel.qos.forget([1])


def test_who_publishes_while_publishing_loses_nothing(broker_connection: Any) -> None:
    channel = broker_connection.default_channel
    producer = kombu.Producer(channel)

    with channel.sending():
        producer.publish(1, routing_key="default")
        with channel.sending():  # as a signal handler would
            producer.publish(2, routing_key="default")
        producer.publish(3, routing_key="default")

    assert QueuedMessage.objects.count() == 3


def test_what_cannot_be_published_takes_the_others_along(broker_connection: Any) -> None:
    channel = broker_connection.default_channel
    producer = kombu.Producer(channel)

    def publish_both() -> None:
        with channel.sending():
            producer.publish(1, routing_key="default")
            producer.publish(2, routing_key="q" * 101)

    with pytest.raises(ChannelError):
        publish_both()

    assert not QueuedMessage.objects.exists()


ADD = encode(TaskMessage(id="1", task="add", args=(1, "é"), reply_to="me", headers={"tenant": "acme"}))
SOON = dt.datetime(2126, 3, 1, 12, 30, tzinfo=dt.UTC)


def changed(**fields: Any) -> Envelope:
    return dataclasses.replace(ADD, **fields)


@pytest.mark.parametrize(
    "posting",
    [
        Posting(envelope=ADD, queue="default"),
        Posting(envelope=ADD, queue="mail", priority=9, sent_at=clock.now()),
        Posting(envelope=ADD, queue="default", deliver_at=SOON),
        Posting(envelope=ADD, queue="default", priority=99),
        Posting(envelope=changed(body=ADD.body.encode("utf-16")), queue="default"),  # type: ignore[union-attr]
        Posting(envelope=changed(content_encoding="utf-16"), queue="default"),
        Posting(envelope=changed(headers={**ADD.headers, "compression": "gzip"}), queue="default"),
        Posting(envelope=changed(properties={"expiration": "1000", "user_id": "u"}), queue="default"),
        Posting(envelope=ADD, queue="default", exchange="unknown", routing_key="mail"),
    ],
)
def test_messages_are_stored_as_kombu_would_have_them(posting: Posting) -> None:
    embedded = Embedded("django://", {})
    producer = kombu.Producer(embedded.connect().channel())

    (stored,) = embedded.rows_of([posting])

    with producer.channel.collecting() as published:
        publishing.publish(producer, posting, sent_at=posting.sent_at, deliver_at=posting.deliver_at)
    (expected,) = published
    assert json.loads(stored.payload) == json.loads(expected.payload)
    for column in ("queue", "priority", "state", "deliver_at", "claimed_by", "deliveries", "reason"):
        assert getattr(stored, column) == getattr(expected, column)
    assert posting.sent_at is None or stored.sent_at == expected.sent_at
