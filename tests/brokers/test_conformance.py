"""What every broker holds to, whatever is behind its URL: one suite, run over all of them."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import kombu
import pytest
from django.db import OperationalError as DatabaseAway
from django.db import connection, transaction

from django_tasks import clock
from django_tasks.brokers.broker import Delivery, Posting, Receiver
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import OperationalError
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage
from tests.workers import eventually

from .arrivals import Open, all_of, ids, message, post, some

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(
    params=[
        "django",
        "memory",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ],
    autouse=True,
)
def kind(request: pytest.FixtureRequest, use_broker: Callable[[str], None]) -> Iterator[str]:
    if request.param in ("redis", "rabbitmq"):
        use_broker(request.getfixturevalue(f"{request.param}_server").url)
    else:
        use_broker(f"{request.param}://")
    yield request.param
    if request.param == "memory":
        with broker().connect() as everybody:  # its queues are of the process
            for queue in list(everybody.default_channel.queues):
                everybody.default_channel.queue_purge(queue)


@pytest.fixture
def receiver(open_receiver: Open) -> Receiver:
    return open_receiver()


def is_empty() -> bool:
    return broker().is_empty(["default"])


# -- there and back


def test_an_envelope_comes_out_as_it_went_in(receiver: Receiver) -> None:
    sent = Envelope(
        headers={"task": "t", "id": "1", "mine": {"a": [1, None, "é"]}},
        body='[["é"], {}, {}]',
        content_type="application/json",
        content_encoding="utf-8",
        properties={"correlation_id": "c", "reply_to": "r", "delivery_mode": 2},
    )

    broker().publish([Posting(envelope=sent, queue="default", priority=3)])

    with some(receiver) as (delivery,):
        got = delivery.envelope
        assert got.headers == sent.headers
        assert bytes(got.body).decode() == sent.body
        assert (got.content_type, got.content_encoding) == (sent.content_type, sent.content_encoding)
        assert {name: got.properties[name] for name in sent.properties} == sent.properties
        assert (delivery.queue, got.properties["priority"]) == ("default", 3)


def test_a_compressed_body_is_unpacked(receiver: Receiver) -> None:
    packed = message("1", compression="application/x-gzip")

    broker().publish([packed])

    with some(receiver) as (delivery,):
        assert bytes(delivery.envelope.body).decode() == packed.envelope.body
        assert delivery.envelope.headers["compression"] == "application/x-gzip"


def test_bytes_stay_bytes(receiver: Receiver) -> None:
    binary = message("1", serializer="msgpack")

    broker().publish([binary])

    with some(receiver) as (delivery,):
        assert delivery.envelope.body == binary.envelope.body


def test_who_was_sent_earlier_is_received_earlier(receiver: Receiver) -> None:
    post("1", "2", "3")

    assert all_of(receiver, 3) == ["1", "2", "3"]


def test_the_least_priority_is_served_first_where_kombu_or_we_decide(kind: str, receiver: Receiver) -> None:
    if kind == "rabbitmq":
        pytest.skip("RabbitMQ serves the greatest first, in queues that are declared for it")

    broker().publish([message("late", priority=9), message("soon", priority=0), message("next", priority=3)])

    assert all_of(receiver, 3) == (["late", "soon", "next"] if kind == "memory" else ["soon", "next", "late"])


def test_at_most_the_limit_is_received_and_the_rest_next(receiver: Receiver) -> None:
    post("1", "2", "3")

    with some(receiver, 2) as deliveries:
        receiver.settle(deliveries)
    assert 1 <= len(deliveries) <= 2

    assert all_of(receiver, 3 - len(deliveries))[-1] == "3"


def test_only_ones_own_queues_are_received(open_receiver: Open) -> None:
    post("1")
    broker().publish([Posting(envelope=message("2").envelope, queue="other")])

    with some(open_receiver(queues=["other"])) as (delivery,):
        assert (ids([delivery]), delivery.queue) == (["2"], "other")


def test_of_several_queues_none_starves(open_receiver: Open) -> None:
    receiver = open_receiver(queues=["default", "other"])
    post(*map(str, range(20)))
    broker().publish([Posting(envelope=message("other").envelope, queue="other")])

    found: list[str] = []
    while "other" not in found:
        with some(receiver, 2) as deliveries:
            receiver.settle(deliveries)
            found += ids(deliveries)

    assert len(found) < 20


# -- what becomes of a batch


def test_settled_messages_are_gone(receiver: Receiver, open_receiver: Open) -> None:
    post("1", "2")

    all_of(receiver, 2)

    receiver.close()
    assert is_empty()
    assert open_receiver("another").is_drained()


def test_what_is_not_settled_stays_its_owners_until_it_is(receiver: Receiver, open_receiver: Open) -> None:
    post("1")

    with some(receiver) as held:
        pass

    assert is_empty()
    assert broker().owners().count("me") >= 1
    assert ids(broker().held("me")) == ["1"]
    receiver.settle(held)
    assert broker().held("me") == []


def test_what_is_held_can_be_settled_by_the_next_receiver_of_the_same_owner(
    receiver: Receiver, open_receiver: Open
) -> None:
    post("1")
    with some(receiver) as held:
        pass
    receiver.abandon()

    open_receiver().settle(held)

    assert broker().held("me") == []
    assert is_empty()


def test_what_is_held_elsewhere_than_in_the_broker_can_be_settled_while_that_is_away(
    kind: str, receiver: Receiver
) -> None:
    holder = broker().holder("me")
    if kind == "django":
        assert holder is None
        return
    post("1", "2")
    held: list[Delivery] = []
    while len(held) < 2:
        with some(receiver, 2 - len(held)) as deliveries:
            held += deliveries
    receiver.abandon()
    assert holder is not None

    holder.settle(held[:1])
    holder.release(held[1:])

    assert broker().held("me") == []
    assert [row.state for row in QueuedMessage.objects.all()] == [QueuedMessage.State.READY]


def test_what_is_stored_and_cannot_be_sent_is_set_aside_and_holds_up_nobody(
    kind: str, receiver: Receiver
) -> None:
    if kind == "django":
        pytest.skip("it is read where it is received")
    now = clock.to_storage(clock.now())
    QueuedMessage.objects.create(queue="default", sent_at=now, payload="nonsense")
    broker().keep([message("good")])

    broker().relay()

    assert all_of(receiver, 1) == ["good"]
    assert "cannot be sent" in QueuedMessage.objects.get().reason


def test_what_is_held_can_be_given_back_later(receiver: Receiver) -> None:
    post("1")
    with some(receiver) as held:
        pass

    receiver.release(held)
    broker().relay()

    assert all_of(receiver, 1) == ["1"]


def test_released_messages_come_again_in_their_old_place(kind: str, receiver: Receiver) -> None:
    if kind == "memory":
        pytest.skip("kombu puts them at the end")
    post("1", "2", "3")
    first: list[str] = []

    while len(first) < 1:
        with some(receiver, 1) as deliveries:
            receiver.release(deliveries)
            first += ids(deliveries)

    receiver.rest()
    assert all_of(receiver, 3) == ["1", "2", "3"]


def test_a_message_set_aside_is_kept_with_the_reason_and_can_be_replayed(receiver: Receiver) -> None:
    post("1")

    with some(receiver) as (delivery,):
        receiver.set_aside(delivery, "nobody knows it")

    row = QueuedMessage.objects.aside().get()
    assert (row.queue, row.reason) == ("default", "nobody knows it")
    assert is_empty()

    assert QueuedMessage.objects.aside().replay() == 1
    broker().relay()
    assert all_of(receiver, 1) == ["1"]


def test_what_is_no_message_of_kombu_is_delivered_as_refused(kind: str, receiver: Receiver) -> None:
    with broker().connect() as stranger:
        if kind == "redis":
            with stranger.default_channel.conn_or_acquire() as client:
                client.lpush("default", b"\xff42")
        else:
            kombu.Producer(stranger.default_channel).publish(
                b"x\x9c garbage",
                routing_key="default",
                headers={"compression": "application/x-gzip"},
                content_type="application/json",
                content_encoding="utf-8",
            )
    post("good")

    found: list[Delivery] = []
    while len(found) < 2:
        with some(receiver, 2 - len(found)) as deliveries:
            for delivery in deliveries:
                receiver.set_aside(delivery, str(delivery.refusal))
            found += deliveries

    assert found[0].refusal is not None
    assert found[1].refusal is None
    assert QueuedMessage.objects.aside().count() == 2


def test_if_the_block_fails_everything_is_where_it_was(receiver: Receiver) -> None:
    post("1", "2")

    with pytest.raises(RuntimeError), some(receiver, 1) as (delivery,):  # noqa: PT012
        receiver.set_aside(delivery, "half done")
        raise RuntimeError

    assert not QueuedMessage.objects.aside().exists()
    assert all_of(receiver, 2) == ["1", "2"]


@pytest.mark.parametrize("deed", ["settle", "release", "set_aside"])
def test_after_a_commit_that_failed_it_can_still_be_decided_what_becomes_of_a_message(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    post("1")
    with monkeypatch.context() as patched:
        patched.setattr(connection, "_commit", _fail)
        with pytest.raises(DatabaseAway), some(receiver):
            pass  # it would be held

    with some(receiver) as (delivery,):
        if deed == "set_aside":
            receiver.set_aside(delivery, "spoilt")
        else:
            getattr(receiver, deed)([delivery])

    assert broker().held("me") == []
    assert QueuedMessage.objects.aside().count() == (deed == "set_aside")
    if deed == "release":
        assert all_of(receiver, 1) == ["1"]


def _fail() -> None:
    raise DatabaseAway


def test_what_was_held_although_its_commit_seemed_to_fail_is_there_once(
    kind: str, receiver: Receiver
) -> None:
    if kind == "django":
        pytest.skip("it stays held, and the owner is found dead at last")
    post("1")
    with pytest.raises(DatabaseAway), some(receiver):
        transaction.on_commit(_fail)
    assert len(broker().held("me")) == 1

    with some(receiver) as again:
        pass

    assert ids(again) == ids(broker().held("me")) == ["1"]


def test_what_is_too_long_to_be_held_is_told_of_and_holds_up_nobody(
    kind: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only MariaDB has such a limit."""
    if kind == "django":
        pytest.skip("it is a row already")
    monkeypatch.setattr("django_tasks.brokers.consuming.fits", lambda text, _: '"id": "long"' not in text)
    post("long", "short")
    held: list[Delivery] = []

    while len(held) < 2:
        with some(receiver, 2 - len(held)) as deliveries:
            held += deliveries

    assert ids(broker().held("me")) == ["short"]
    assert "max_allowed_packet" in QueuedMessage.objects.aside().get().reason
    receiver.settle(held)
    assert is_empty()


def test_what_the_block_writes_goes_with_it(receiver: Receiver) -> None:
    post("1")

    with pytest.raises(RuntimeError), some(receiver) as deliveries:  # noqa: PT012
        receiver.settle(deliveries)
        QueuedMessage.objects.create(queue="other", sent_at=clock.to_storage(clock.now()), payload="")
        raise RuntimeError

    assert not QueuedMessage.objects.filter(queue="other").exists()


def test_two_receivers_share_the_messages_and_none_comes_twice(open_receiver: Open) -> None:
    receivers = [open_receiver("first"), open_receiver("second")]
    sent = [str(number) for number in range(200)]
    post(*sent)
    found: list[str] = []

    def fetched() -> bool:
        for receiver in receivers:
            with receiver.receive(7) as deliveries:
                receiver.settle(deliveries)
                found.extend(ids(deliveries))
        return len(found) >= 200

    eventually(fetched, "all messages")

    assert sorted(found, key=int) == sent


def test_who_rests_leaves_the_messages_to_others(receiver: Receiver, open_receiver: Open) -> None:
    post("1", "2", "3", "4")
    with some(receiver, 2) as deliveries:
        receiver.settle(deliveries)

    receiver.rest()

    assert len(all_of(open_receiver("another"), 4 - len(deliveries))) == 4 - len(deliveries)


def test_who_closes_leaves_what_was_not_received_to_others(receiver: Receiver, open_receiver: Open) -> None:
    post("1", "2", "3")
    with some(receiver, 1) as deliveries:
        receiver.settle(deliveries)

    receiver.close()

    assert all_of(open_receiver("another"), 2) == ["2", "3"]


def test_a_receiver_listens_to_other_queues_and_keeps_what_it_holds(
    receiver: Receiver, open_receiver: Open
) -> None:
    post("held", "left")
    with some(receiver, 1) as held:
        pass

    receiver.listen_to(["other"])
    broker().publish([replace(message("elsewhere"), queue="other")])
    assert all_of(receiver, 1) == ["elsewhere"]
    other = open_receiver("somebody else")
    with some(other) as left:
        assert ids(left) == ["left"]
        other.settle(left)
    other.close()

    receiver.settle(held)
    receiver.listen_to(["other", "default"])
    post("again")
    assert all_of(receiver, 1) == ["again"]


def test_a_receiver_that_listens_to_nothing_receives_nothing_until_it_listens_again(
    receiver: Receiver,
) -> None:
    post("a", "b")
    with some(receiver, 1) as deliveries:
        receiver.release(deliveries)

    receiver.listen_to([])

    assert receiver.is_drained()
    with receiver.receive(9) as deliveries:
        assert deliveries == []
    receiver.has_news()
    receiver.listen_to(["default"])
    assert not receiver.is_drained()
    assert sorted(all_of(receiver, 2)) == ["a", "b"]


# -- hearing


def test_there_is_news_when_a_message_comes(receiver: Receiver) -> None:
    with receiver.receive(1) as nothing:
        assert nothing == []

    post("1")

    eventually(receiver.has_news, "news")
    assert all_of(receiver, 1) == ["1"]


def test_nothing_is_drained_before_everything_was_received(receiver: Receiver) -> None:
    post("1")
    assert not receiver.is_drained()

    all_of(receiver, 1)

    assert receiver.is_drained()


# -- after a death


def test_a_dead_owners_messages_go_to_others_those_it_held_and_those_it_did_not_receive(
    receiver: Receiver, open_receiver: Open
) -> None:
    post("1", "2", "3")
    with some(receiver, 1):
        pass  # held
    receiver.abandon()

    broker().rescue("me", 3, "died")
    broker().relay()

    assert sorted(all_of(open_receiver("another"), 3)) == ["1", "2", "3"]
    assert "me" not in broker().owners()


def test_what_was_held_too_often_by_those_who_died_is_set_aside(open_receiver: Open) -> None:
    post("poison")

    for life in range(2):
        receiver = open_receiver(f"life {life}")
        with some(receiver):
            pass
        receiver.abandon()
        broker().rescue(f"life {life}", 2, "It kills")
        broker().relay()

    row = QueuedMessage.objects.aside().get()
    assert row.reason == "It kills"
    assert is_empty()


def test_what_somebody_else_has_settled_is_not_offered_again(receiver: Receiver, open_receiver: Open) -> None:
    post("1")
    with some(receiver):
        pass

    broker().forget("me", broker().held("me"))
    broker().rescue("me", 3, "died")
    broker().relay()

    assert is_empty()


# -- the future


def test_what_is_due_later_waits_and_is_delivered_once_when_its_time_has_come(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker().publish([message("later", eta=clock.now() + dt.timedelta(hours=1))])
    broker().relay()
    with receiver.receive(1) as deliveries:
        assert deliveries == []
    assert QueuedMessage.objects.get().state == QueuedMessage.State.PARKED

    then = clock.now() + dt.timedelta(hours=1, seconds=1)
    monkeypatch.setattr(clock, "database_now", lambda _: then)
    assert broker().relay() == 1
    assert broker().relay() == 0

    assert all_of(receiver, 1) == ["later"]
    assert is_empty()


def test_of_very_many_that_are_due_one_relay_delivers_some(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, at_once in (("forwarding", "AT_ONCE"), ("channel", "WAKE_AT_ONCE")):
        monkeypatch.setattr(f"django_tasks.brokers.{module}.{at_once}", 1)
        monkeypatch.setattr(f"django_tasks.brokers.{module}.MOST_RELAYED", 2)
    then = clock.now() + dt.timedelta(hours=1)
    broker().publish([message(str(number), eta=then) for number in range(3)])
    monkeypatch.setattr(clock, "database_now", lambda _: then + dt.timedelta(seconds=1))

    assert [broker().relay() for _ in range(3)] == [2, 1, 0]

    assert sorted(all_of(receiver, 3)) == ["0", "1", "2"]


# -- with transactions


def test_what_is_sent_in_a_transaction_arrives_after_it_has_committed(receiver: Receiver) -> None:
    with transaction.atomic():
        post("1")
        post("2", "3")
        assert broker().size("default") in (0, 3)  # the embedded one is asked inside of it

    assert all_of(receiver, 3) == ["1", "2", "3"]
    assert not QueuedMessage.objects.exists()


def test_what_is_rolled_back_never_arrives(receiver: Receiver) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
        post("1")
        raise RuntimeError
    with transaction.atomic():
        post("2")
        with contextlib.suppress(RuntimeError), transaction.atomic():
            post("3")
            raise RuntimeError
        post("4")

    assert all_of(receiver, 2) == ["2", "4"]
    assert receiver.is_drained()
    assert not QueuedMessage.objects.exists()


def test_a_crash_between_commit_and_publishing_loses_nothing(
    kind: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "django":
        pytest.skip("commit is publishing")
    monkeypatch.setattr(broker().outbox, "push", _crash)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        post("1")
    connection.close()
    assert broker().relay() == 0  # it is not certain yet that the sender is gone

    then = clock.now() + dt.timedelta(seconds=11)
    monkeypatch.setattr(clock, "database_now", lambda _: then)
    assert broker().relay() == 1

    assert all_of(receiver, 1) == ["1"]
    assert is_empty()


def _crash(postings: Sequence[Posting]) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_published_after_the_commit_goes_out_when_the_broker_is_back(
    kind: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "django":
        pytest.skip("commit is publishing")

    def away(postings: Sequence[Posting]) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(broker().outbox, "push", away)  # type: ignore[attr-defined]
    for body in ("1", "2"):  # the second is not even tried, so soon after the first
        with transaction.atomic():
            post(body)

    assert broker().relay() == 2

    assert all_of(receiver, 2) == ["1", "2"]
    assert is_empty()


# -- looking


def test_the_size_of_a_queue_is_what_is_ready_in_it() -> None:
    assert broker().size("default") == 0

    post("1", "2")

    assert eventually(lambda: broker().size("default") == 2)
    assert broker().size("other") == 0


def test_purging_says_how_many(receiver: Receiver) -> None:
    receiver.rest()
    post("1", "2")
    eventually(lambda: broker().size("default") == 2)

    assert broker().purge("default") == 2
    assert is_empty()
    assert broker().purge("default") == 0
