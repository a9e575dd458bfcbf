"""Our own door to kombu: what the sender and the worker ask of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gc
import re
import threading
import weakref
from typing import Any

import kombu
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_tasks import clock
from django_tasks.brokers import handler as brokers
from django_tasks.brokers import queues
from django_tasks.brokers.broker import Delivery, Posting, Receiver
from django_tasks.brokers.embedded import Embedded
from django_tasks.brokers.handler import broker
from django_tasks.brokers.remote import Remote
from django_tasks.exceptions import OperationalError, UnknownQueue
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage
from django_tasks.models.among import among
from django_tasks.models.queue import next_of_queue

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("steady_statements")]


def envelope(body: str | bytes = "[]", **properties: Any) -> Envelope:
    return Envelope(
        headers={"task": "t", "id": "1"},
        body=body,
        content_type="application/json",
        content_encoding="utf-8",
        properties=properties,
    )


def post(*bodies: str, queue: str = "default", **address: Any) -> None:
    broker().publish([Posting(envelope=envelope(body), queue=queue, **address) for body in bodies])


@pytest.fixture
def receiver() -> Any:
    opened = broker().receiver(["default"], "me")
    yield opened
    opened.close()


def texts(deliveries: list[Delivery]) -> list[str]:
    return [bytes(delivery.envelope.body).decode() for delivery in deliveries]


def held_by(owner: str) -> int:
    return QueuedMessage.objects.owned_by(owner).count()


# -- publishing


def test_an_envelope_comes_out_as_it_went_in(receiver: Receiver) -> None:
    sent = envelope("[1]", correlation_id="c", reply_to="r", delivery_mode=2)

    broker().publish([Posting(envelope=sent, queue="default", priority=3)])

    with receiver.receive(1) as (delivery,):
        got = delivery.envelope
        assert (got.headers, bytes(got.body)) == (sent.headers, b"[1]")
        assert (got.content_type, got.content_encoding) == (sent.content_type, sent.content_encoding)
        assert {name: got.properties[name] for name in sent.properties} == sent.properties
        assert got.properties["priority"] == 3
        assert delivery.queue == "default"


def test_a_received_envelope_can_be_published_again_and_again(receiver: Receiver) -> None:
    post("[1]")

    for _ in range(3):
        with receiver.receive(1) as (delivery,):
            receiver.settle([delivery])
            broker().publish([Posting(envelope=delivery.envelope, queue="default")])

    assert QueuedMessage.objects.count() == 1


@pytest.mark.parametrize(
    "property",
    [
        "routing_key",
        "exchange",
        "retry",
        "declare",
        "sent_at",
        "deliver_at",
        "body",
        "mandatory",
        "compression",
    ],
)
def test_a_strangers_property_is_not_taken_for_an_argument(property: str) -> None:
    strange = dataclasses.replace(envelope("[1]"), properties={property: "whatever"})

    broker().publish([Posting(envelope=strange, queue="default")])

    assert QueuedMessage.objects.get().queue == "default"


@pytest.mark.parametrize(
    ("expiration", "stored"),
    [("1500", "1500"), (2000, "2000"), ("soon", None), ("nan", None), ("inf", None), ([], None)],
)
def test_an_expiration_that_is_no_number_is_no_limit(
    receiver: Receiver, expiration: object, stored: str | None
) -> None:
    broker().publish([Posting(envelope=envelope("[1]", expiration=expiration), queue="default")])

    with receiver.receive(1) as (delivery,):
        assert delivery.envelope.properties.get("expiration") == stored


def test_who_was_sent_earlier_is_received_earlier(receiver: Receiver) -> None:
    post("later")
    post("earlier", sent_at=clock.now() - dt.timedelta(hours=1))

    with receiver.receive(2) as deliveries:
        assert texts(deliveries) == ["earlier", "later"]


def test_all_are_published_or_none() -> None:
    postings = [Posting(envelope=envelope(), queue=queue) for queue in ("default", "q" * 101)]

    with pytest.raises(kombu.exceptions.ChannelError):
        broker().publish(postings)

    assert not QueuedMessage.objects.exists()


def test_as_many_statements_publish_fifty_messages_as_ten() -> None:
    def statements(many: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            post(*["[]"] * many)
        return len(asked)

    statements(1)

    assert statements(50) == statements(10) <= 3


def test_a_thousand_messages_are_a_few_statements() -> None:
    with CaptureQueriesContext(connection) as asked:
        post(*["[]"] * 1000)

    assert len(asked) <= 5


def test_a_look_at_empty_queues_is_one_question_without_a_transaction(receiver: Receiver) -> None:
    with CaptureQueriesContext(connection) as asked, receiver.receive(10) as deliveries:
        pass

    assert deliveries == []
    assert [query["sql"][:6] for query in asked] == ["SELECT"]


def test_long_messages_are_inserted_fewer_at_a_time() -> None:
    with CaptureQueriesContext(connection) as asked:
        post(*["x" * 1_500_000] * 4)

    inserts = [query for query in asked if "INSERT" in query["sql"]]
    assert len(inserts) == 2


def test_a_thread_that_ended_leaves_no_producer_behind() -> None:
    own = Embedded("django://", {})
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(weakref.ref(own._producer().channel)))

    thread.start()
    thread.join()
    gc.collect()

    assert seen[0]() is None


# -- receiving


def test_at_most_the_limit_is_received(receiver: Receiver) -> None:
    post("a", "b", "c")

    with receiver.receive(2) as deliveries:
        assert texts(deliveries) == ["a", "b"]


def test_the_limit_is_on_top_of_what_is_held_already(receiver: Receiver) -> None:
    post("a", "b", "c")

    with receiver.receive(1):
        pass
    with receiver.receive(1) as deliveries:
        assert texts(deliveries) == ["b"]


def test_settled_messages_are_gone(receiver: Receiver) -> None:
    post("a", "b")

    with receiver.receive(2) as deliveries:
        receiver.settle(deliveries)

    assert not QueuedMessage.objects.exists()


def test_what_is_not_settled_is_held_without_a_timeout(receiver: Receiver) -> None:
    post("a")

    with receiver.receive(1):
        pass

    row = QueuedMessage.objects.get()
    assert (row.state, row.claimed_by, row.deliver_at, row.deliveries) == ("claimed", "me", None, 1)
    assert broker().owners() == ["me"]


def test_what_is_held_can_be_settled_later(receiver: Receiver) -> None:
    post("a")
    with receiver.receive(1) as deliveries:
        pass

    receiver.settle(deliveries)

    assert not QueuedMessage.objects.exists()


def test_what_is_held_can_be_settled_by_the_next_receiver_of_the_same_owner(receiver: Receiver) -> None:
    post("a")
    with receiver.receive(1) as deliveries:
        pass

    broker().receiver(["default"], "me").settle(deliveries)

    assert not QueuedMessage.objects.exists()


def test_many_held_messages_are_settled_by_one_statement(receiver: Receiver) -> None:
    post(*"abcdef")
    with receiver.receive(6) as deliveries:
        pass

    with CaptureQueriesContext(connection) as asked:
        receiver.settle(deliveries)

    assert len(asked) == 1


def test_released_messages_can_be_received_again(receiver: Receiver) -> None:
    post("a", "b")
    with receiver.receive(2) as deliveries:
        pass

    receiver.release(deliveries)

    with receiver.receive(2) as again:
        assert texts(again) == ["a", "b"]


def test_a_message_released_in_the_batch_that_took_it_is_not_held(receiver: Receiver) -> None:
    post("a", "b")

    with receiver.receive(2) as deliveries:
        receiver.release(deliveries[:1])

    assert held_by("me") == 1
    assert broker().size("default") == 1


def test_a_message_set_aside_is_kept_with_the_reason(receiver: Receiver) -> None:
    post("a", "b")

    with receiver.receive(2) as deliveries:
        receiver.set_aside(deliveries[0], "no good \x00 \udc80" + "x" * 2000)
        receiver.settle(deliveries[1:])

    row = QueuedMessage.objects.get()
    assert row.state == "aside"
    assert row.reason.startswith(r"no good \x00 \udc80x")
    assert len(row.reason) == 1000


def test_if_the_block_fails_everything_is_where_it_was(receiver: Receiver) -> None:
    post(*"abcd")

    def fail() -> None:
        with receiver.receive(4) as deliveries:
            receiver.settle(deliveries[:1])
            receiver.set_aside(deliveries[1], "no good")
            receiver.release(deliveries[2:3])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert broker().size("default") == 4
    assert list(QueuedMessage.objects.values_list("deliveries", flat=True)) == [0] * 4
    with receiver.receive(4) as again:
        assert texts(again) == list("abcd")


def test_what_the_block_writes_goes_with_it(receiver: Receiver) -> None:
    post("a")

    def fail() -> None:
        with receiver.receive(1):
            post("follow-up")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert QueuedMessage.objects.count() == 1


def test_a_closed_receiver_gives_back_what_it_holds() -> None:
    post("a")
    closing = broker().receiver(["default"], "me")
    with closing.receive(1):
        pass

    closing.close()

    assert broker().size("default") == 1


def test_a_forgotten_receiver_is_no_leak() -> None:
    post("a")
    forgotten = broker().receiver(["default"], "me")
    with forgotten.receive(1):
        pass
    channel = weakref.ref(forgotten.channel)

    del forgotten
    gc.collect()

    assert channel() is None


def test_a_body_that_is_not_compressed_as_it_says_comes_as_it_is_with_the_reason_to_refuse_it(
    receiver: Receiver,
) -> None:
    with broker().connect() as stranger:
        kombu.Producer(stranger).publish("plain", routing_key="default", headers={"compression": "gzip"})
    post("good")

    with receiver.receive(5) as (refused, good):
        assert "cannot be unpacked" in str(refused.refusal)
        assert refused.envelope.body == b"plain"
        assert good.refusal is None


def test_ser_02_a_compression_that_only_others_know_is_left_out_and_the_log_says_so(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A housekeeper may have to send again what a task process compressed in a way of its own."""
    unknown = dataclasses.replace(envelope("[1]"), headers={"id": "1", "compression": "application/x-ours"})

    broker().publish([Posting(envelope=unknown, queue="default")])

    assert "cannot compress as 'application/x-ours'" in caplog.text
    with receiver.receive(1) as (delivery,):
        assert (delivery.envelope.headers, texts([delivery])) == ({"id": "1"}, ["[1]"])


def test_receiving_and_settling_takes_as_many_statements_for_fifty_as_for_five(receiver: Receiver) -> None:
    def statements(many: int) -> int:
        post(*["[]"] * many)
        with CaptureQueriesContext(connection) as asked, receiver.receive(many) as deliveries:
            assert len(deliveries) == many
            receiver.settle(deliveries)
        return len(asked)

    statements(1)

    assert statements(50) == statements(5)


def test_an_idle_look_is_one_statement(receiver: Receiver) -> None:
    with CaptureQueriesContext(connection) as asked, receiver.receive(5) as deliveries:
        assert deliveries == []

    assert len([query for query in asked if "SAVEPOINT" not in query["sql"]]) == 1


@pytest.mark.django_db(transaction=True)  # nobody listens within a transaction
def test_a_look_that_somebody_was_told_to_take_is_not_preceded_by_a_question(receiver: Receiver) -> None:
    receiver.is_hopeful = True
    with CaptureQueriesContext(connection) as asked, receiver.receive(5) as deliveries:
        assert deliveries == []

    # Elsewhere the sign may be of something else, and a look would lock the database or rows of others.
    assert any(query["sql"].startswith("SELECT 1 ") for query in asked) == (connection.vendor != "postgresql")
    assert not receiver.is_hopeful


def test_an_index_serves_the_next_messages_however_many_wait() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the others' plans read otherwise")
    now = timezone.now()
    QueuedMessage.objects.insert(
        [QueuedMessage(queue=f"q{number % 3}", sent_at=now, payload="{}") for number in range(3000)]
    )
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {QueuedMessage._meta.db_table}")  # the plan follows from what there is
        asked = [100, QueuedMessage.State.READY, "q1", 10]
        cursor.execute(f"EXPLAIN {next_of_queue(connection)}", asked)
        plan = str(cursor.fetchall())

    assert "django_tasks_queue_next" in plan
    assert "Sort" not in plan


def test_keys_are_looked_up_as_such_in_a_queue_that_was_empty_when_it_was_analyzed() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the others' plans read otherwise")
    now = timezone.now()
    QueuedMessage.objects.insert([QueuedMessage(sent_at=now, payload="{}") for _ in range(3000)])
    QueuedMessage.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {QueuedMessage._meta.db_table}")

    plan = QueuedMessage.objects.filter(among("id", [1, 2])).explain()

    assert "django_tasks_queuedmessage_pkey" in plan


# -- the dead and the due


def test_a_dead_owners_messages_are_offered_again(receiver: Receiver) -> None:
    post("a", "b")
    with receiver.receive(1):
        pass

    broker().rescue("me", 3, "died")

    assert broker().owners() == []
    assert broker().size("default") == 2


def test_what_was_tried_too_often_is_set_aside(receiver: Receiver) -> None:
    post("a")
    for _ in range(2):
        with receiver.receive(1):
            pass
        broker().rescue("me", 2, "died 2 times")

    assert QueuedMessage.objects.aside().get().reason == "died 2 times"


def test_nothing_ready_and_nothing_due_is_empty(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    post("held")
    with receiver.receive(1):
        pass
    post("parked", deliver_at=clock.now() + dt.timedelta(minutes=1))
    post("elsewhere", queue="other")
    assert broker().is_empty(["default"])

    monkeypatch.setattr(clock, "database_now", lambda _: clock.now() + dt.timedelta(minutes=2))

    assert not broker().is_empty(["default"])


def test_purging_says_how_many(receiver: Receiver) -> None:
    post("a", "b")

    assert broker().purge("default") == 2
    assert broker().size("default") == 0


def test_no_table_is_missing_here() -> None:
    assert broker().missing_tables() == []


# -- which broker and which queues


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("default", "must look like 'django://'"),
        (
            "ampq://guest:secret@host//",
            "the transport 'ampq', which kombu does not have. Did you mean 'amqp'",
        ),
        ("amqp:guest:secret@host", "must look like 'django://'"),
        ("django://guest:secret@archive", r"names no database of DATABASES \(default\)"),
        ("django://archive", r"names no database of DATABASES \(default\)"),
    ],
)
def test_a_wrong_url_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    (problem,) = brokers.problems(url)

    assert re.search(sentence, problem)
    assert "secret" not in problem


def test_the_url_can_name_another_database(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES, "archive", settings.DATABASES["default"])

    other = Embedded("django://archive", {})

    assert other.alias == "archive"
    assert other.connect().channel().alias == "archive"


def test_the_case_of_an_alias_is_no_matter(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts in a URL have none; a broker of its own stores what waits by such a URL, too."""
    monkeypatch.setitem(settings.DATABASES, "Archive", settings.DATABASES["default"])

    other = Embedded("django://Archive", {})

    assert brokers.problems("django://Archive") == []
    assert other.alias == "Archive"
    assert other.connect().channel().alias == "Archive"


def test_changed_settings_mean_another_broker(settings: Any) -> None:
    before = broker()
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 5}}

    assert broker() is not before
    assert broker().connect().transport_options == {"visibility_timeout": 5}


def test_the_default_queue_is_declared_and_comes_first(settings: Any) -> None:
    settings.DJANGO_TASKS = {"TASK_DEFAULT_QUEUE": "main", "TASK_QUEUES": ["other", "main"]}

    assert queues.declared() == ("main", "other")


def test_an_undeclared_queue_is_refused_with_a_guess_and_what_to_do() -> None:
    with pytest.raises(UnknownQueue, match=r"Did you mean 'other'\? Add it to .*TASK_QUEUES"):
        queues.check("othr")


@pytest.mark.parametrize("name", ["", "two words", "q" * 101, "ünicode", "a/b"])
def test_an_impossible_name_is_a_problem(settings: Any, name: str) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": [name]}

    (problem,) = queues.problems()

    assert "use letters, digits" in problem


def test_names_that_differ_only_in_case_are_a_problem(settings: Any) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": ["Mail", "mail"]}

    (problem,) = queues.problems()

    assert "'Mail' and 'mail'" in problem


def test_the_settings_of_these_tests_are_no_problem() -> None:
    assert queues.problems() == []
    assert brokers.problems("django://") == []


@pytest.mark.parametrize(
    ("what", "about"), [("size", ["default"]), ("purge", ["default"]), ("move", ["default", "mail", 1])]
)
def test_who_looks_after_queues_is_told_to_look_after_the_broker_and_not_to_send_again(
    what: str, about: list[Any]
) -> None:
    nobody = Remote("redis://127.0.0.1:1/0", {})

    with pytest.raises(OperationalError, match=r"127\.0\.0\.1:1.* See that it runs") as away:
        getattr(nobody, what)(*about)

    assert "Send it again" not in str(away.value)
    assert "retry_policy" not in str(away.value)


def test_who_sends_is_told_to_send_again() -> None:
    with pytest.raises(OperationalError, match="Send it again later"):
        Remote("redis://127.0.0.1:1/0", {}).push([Posting(envelope=envelope(), queue="default")])
