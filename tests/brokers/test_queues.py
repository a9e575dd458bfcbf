"""The forms of `TASK_QUEUES`, and where exchanges lead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import kombu
import pytest
from django.core import checks as django_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.virtual.exchange import TopicExchange

from django_tasks import app, conf
from django_tasks.brokers import queues
from django_tasks.brokers.broker import Delivery, Posting
from django_tasks.brokers.declarations import Binding, read
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import UnknownQueue
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage
from tests.ledger.tasks import note

MEDIA = kombu.Exchange("media", type="topic")
AS_NAMES = ["mail"]
AS_A_MAPPING = {
    "mail": None,
    "images": {"exchange": "media", "exchange_type": "topic", "routing_key": "images.#", "max_priority": 9},
}
AS_OBJECTS = ["mail", kombu.Queue("images", MEDIA, routing_key="images.#", max_priority=9)]

Put = Callable[[Any], None]


@pytest.fixture
def put(settings: Any) -> Put:
    """Puts queues into the settings."""

    def put(value: Any) -> None:
        settings.DJANGO_TASKS = {"TASK_QUEUES": value}

    return put


def direct(name: str) -> tuple[Binding, ...]:
    return (Binding(exchange=name, type="direct", key=name),)


# -- the forms


@pytest.mark.parametrize("value", [AS_A_MAPPING, AS_OBJECTS])
def test_adv_01_set_10_queues_are_said_in_celery_s_forms(put: Put, value: Any) -> None:
    put(value)

    assert queues.declared() == ("default", "mail", "images")
    assert queues.find("mail").bindings == direct("mail")
    images = queues.find("images")
    assert images.bindings == (Binding(exchange="media", type="topic", key="images.#"),)
    assert (images.arguments, images.durable) == ({"x-max-priority": 9}, True)
    assert queues.problems() == []


def test_adv_01_what_celery_3_took_is_taken(put: Put) -> None:
    put({"default": {"exchange": "default", "binding_key": "default"}, "feeds": {"binding_key": "feeds"}})

    assert queues.declared() == ("default", "feeds")
    assert (queues.find("default").bindings, queues.find("feeds").bindings) == (
        direct("default"),
        direct("feeds"),
    )


def test_adv_01_a_queue_can_be_bound_several_times(put: Put) -> None:
    shop = kombu.Exchange("shop")
    put([kombu.Queue("all", [kombu.binding(shop, "order"), kombu.binding(MEDIA, "#")])])

    assert [(binding.exchange, binding.key) for binding in queues.find("all").bindings] == [
        ("media", "#"),
        ("shop", "order"),
    ]
    assert (queues.reached("shop", "order"), queues.reached("media", "x.y")) == (("all",), ("all",))


def test_the_default_queue_can_be_declared_like_any_other(put: Put) -> None:
    put([kombu.Queue("mail"), kombu.Queue("default", max_priority=5)])

    assert queues.declared() == ("default", "mail")
    assert queues.find("default").arguments == {"x-max-priority": 5}


def test_adv_01_a_queue_for_kombu_is_a_copy_of_its_own(put: Put) -> None:
    put({"mail": {"queue_arguments": {"x-queue-type": "quorum"}, "message_ttl": 60}})

    made, again = queues.to_kombu("mail"), queues.to_kombu("mail")

    assert made is not again
    assert (made.name, made.exchange.name, made.exchange.type, made.routing_key) == (
        *("mail", "mail", "direct", "mail"),
    )
    assert made.durable
    assert queues.find("mail").arguments == {"x-queue-type": "quorum", "x-message-ttl": 60_000}
    with pytest.raises(UnknownQueue):
        queues.to_kombu("mial")


WRONG = [
    ([5], "has 5, which is no queue. Write its name, or a kombu.Queue."),
    ({5: None}, "has 5, which is no queue"),
    ({"mail": "media"}, "says 'media' of queue 'mail'. Write a mapping such as"),
    ({"mail": {"exchnge": "x"}}, "queue 'mail' has 'exchnge', which says nothing. Did you mean 'exchange'?"),
    ({"mail": {"routing_key": 5}}, "routing_key of queue 'mail' must be a string, not 5."),
    ({"mail": {"max_priority": True}}, "max_priority of queue 'mail' must be a whole number, not True."),
    ({"mail": {"durable": 1}}, "durable of queue 'mail' must be True or False, not 1."),
    (
        {"mail": {"exchange": "x", "exchange_type": "topc"}},
        "type 'topc'. Make it one of direct, topic, fanout. Did you mean 'topic'?",
    ),
    ([kombu.Queue("mail", kombu.Exchange("x", type="headers"), "k")], "of type 'headers'. Make it one of"),
    ({"mail": {"routing_key": "m.#"}}, "the routing_key 'm.#' and no exchange. Name the one to bind it to."),
    ({"mail": {"exchange_type": "topic"}}, "the exchange_type 'topic' and no exchange. Name the one"),
    ([kombu.Queue("mail", no_ack=True)], "exclusive or no_ack"),
    ([kombu.Queue("mail", exclusive=True)], "exclusive or no_ack"),
    (
        {"mail": {"queue_arguments": {"x-queue-type": "quorum"}, "max_priority": 9}},
        "these are durable and have no max_priority",
    ),
    ({"mail": {"queue_arguments": {"x-queue-type": "quorum"}, "durable": False}}, "these are durable"),
    (
        {"a": {"exchange": "x"}, "b": {"exchange": "x", "exchange_type": "fanout"}},
        "exchange 'x' is direct for queue 'a' and fanout for 'b'",
    ),
    (
        {"mail": None, "b": {"exchange": "mail", "exchange_type": "topic"}},
        "exchange 'mail' is direct for queue 'mail' and topic for 'b'",
    ),
    (
        [kombu.Queue("a", kombu.Exchange("x")), kombu.Queue("b", kombu.Exchange("x", durable=False))],
        "or they differ in durable or arguments. Declare it in one way.",
    ),
]


@pytest.mark.parametrize(("value", "sentence"), WRONG)
def test_set_10_what_is_no_queue_is_found_by_the_checks_and_refused_where_it_is_needed(
    put: Put, value: Any, sentence: str
) -> None:
    put(value)

    (error,) = django_checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E005"
    assert error.msg.startswith("DJANGO_TASKS['TASK_QUEUES']")
    assert sentence in error.msg
    with pytest.raises(ImproperlyConfigured) as refusal:
        queues.declared()
    assert str(refusal.value) == error.msg


def test_set_10_every_problem_is_reported_and_the_good_queues_are_read() -> None:
    found, problems = read(conf.Settings(TASK_QUEUES=("mail", 5, kombu.Queue("x", exclusive=True))))

    assert list(found) == ["default", "mail"]
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ({"exchange": "medai"}, "No exchange 'medai' is declared and TASK_ROUTES sends tasks there."),
        (
            {"exchange": "media", "routing_key": "films"},
            "no queue for routing_key='films' and TASK_ROUTES sends",
        ),
        ({"exchange": "media"}, None),
        ({"exchange": "media", "routing_key": "images.x"}, None),
    ],
)
def test_set_10_a_route_through_an_exchange_is_checked(
    settings: Any, route: Any, sentence: str | None
) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": AS_A_MAPPING, "TASK_ROUTES": {"shop.*": route}}

    errors = django_checks.run_checks(tags=["tasks"])

    assert [error.id for error in errors] == (["django_tasks.E010"] if sentence else [])
    assert all(sentence in error.msg for error in errors if sentence)


# -- where exchanges lead


WORDS = st.sampled_from(["a", "b", "c"])
KEYS = st.lists(WORDS, min_size=1, max_size=5).map(".".join)


def topic(key: str) -> Binding:
    return Binding(exchange="x", type="topic", key=key)


def of_kombu(pattern: str, key: str) -> bool:
    exchange = TopicExchange(None)
    return bool(exchange._match(exchange.key_to_pattern(pattern), key))


@given(st.lists(WORDS | st.just("*"), min_size=1, max_size=5).map(".".join), KEYS)
def test_adv_01_one_word_is_matched_as_kombu_matches_it(pattern: str, key: str) -> None:
    assert topic(pattern).takes(key) == of_kombu(pattern, key)


@given(st.lists(WORDS | st.sampled_from("*#"), min_size=1, max_size=5).map(".".join), KEYS)
def test_adv_01_what_kombu_matches_is_matched_and_more_only_where_words_are_none(
    pattern: str, key: str
) -> None:
    """kombu takes `#` for one word at least; in RabbitMQ it is none, too."""
    without = [word for word in pattern.split(".") if word != "#"]
    if of_kombu(pattern, key):
        assert topic(pattern).takes(key)
    elif topic(pattern).takes(key):
        assert "#" in pattern.split(".")
        assert len(without) <= len(key.split("."))


@pytest.mark.parametrize(
    ("pattern", "keys", "others"),
    [  # as RabbitMQ 3.10 delivered them
        ("#", ["", "a", "a.b"], []),
        ("a.#", ["a", "a.b", "a.b.c"], ["", "b", "ab"]),
        ("#.b", ["b", "a.b", "a.a.b"], ["", "a", "b.a"]),
        ("a.#.b", ["a.b", "a.x.b", "a.x.y.b"], ["a", "b", "a.b.c"]),
        ("*", ["a"], ["", "a.b"]),
        ("a.*", ["a.b"], ["a", "a.b.c"]),
        ("a*", ["a*"], ["a", "ab"]),
        ("", [""], ["a"]),
    ],
)
def test_adv_01_topics_are_rabbitmq_s(pattern: str, keys: list[str], others: list[str]) -> None:
    assert [key for key in [*keys, *others] if topic(pattern).takes(key)] == keys


@given(KEYS, KEYS)
def test_adv_01_direct_is_the_very_key_and_fanout_is_any(key: str, other: str) -> None:
    assert Binding(exchange="x", key=key).takes(other) == (key == other)
    assert Binding(exchange="x", type="fanout", key=key).takes(other)


# -- the embedded broker


def envelope() -> Envelope:
    return Envelope(
        headers={"task": "t", "id": "1"},
        body="[]",
        content_type="application/json",
        content_encoding="utf-8",
    )


def received(*names: str) -> Iterator[Delivery]:
    for name in names:
        receiver = broker().receiver([name], "me")
        with receiver.receive(10) as deliveries:
            receiver.settle(deliveries)
        receiver.close()
        yield from deliveries


SEVERAL: Any = {
    "mail": {"exchange": "shop", "routing_key": "mail"},
    "audit": {"exchange": "shop", "routing_key": "mail"},
    "images": {"exchange": "media", "exchange_type": "topic", "routing_key": "images.#"},
    "small": {"exchange": "media", "exchange_type": "topic", "routing_key": "*.small"},
    "here": {"exchange": "everywhere", "exchange_type": "fanout"},
    "there": {"exchange": "everywhere", "exchange_type": "fanout"},
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("exchange", "routing_key", "reached"),
    [
        ("shop", "mail", ["mail", "audit"]),
        ("media", "images.large", ["images"]),
        ("media", "images.small", ["images", "small"]),
        ("everywhere", "", ["here", "there"]),
        ("everywhere", "mail", ["here", "there"]),
    ],
)
@pytest.mark.parametrize("mandatory", [True, False])
def test_adv_01_opt_27_a_posting_is_put_into_each_queue_that_the_exchange_has_for_it(
    put: Put, exchange: str, routing_key: str, reached: list[str], mandatory: bool
) -> None:
    put(SEVERAL)
    address: Any = {"exchange": exchange, "routing_key": routing_key, "mandatory": mandatory}

    broker().publish([Posting(envelope=envelope(), queue=reached[0], **address)])

    found = list(received(*queues.declared()))
    assert [delivery.queue for delivery in found] == reached
    assert {(delivery.exchange, delivery.routing_key) for delivery in found} == {(exchange, routing_key)}


@pytest.mark.django_db
def test_adv_01_without_an_exchange_a_posting_goes_to_its_queue_alone(put: Put) -> None:
    put(SEVERAL)

    broker().publish([Posting(envelope=envelope(), queue="mail", routing_key="images.small")])

    (delivery,) = received(*queues.declared())
    assert (delivery.queue, delivery.exchange) == ("mail", "")


@pytest.mark.django_db
def test_adv_01_a_stranger_s_message_through_a_declared_exchange_arrives(
    put: Put, broker_connection: Any
) -> None:
    put(SEVERAL)

    kombu.Producer(broker_connection.channel()).publish("x", exchange="everywhere", routing_key="")

    assert [delivery.queue for delivery in received(*queues.declared())] == ["here", "there"]


@pytest.mark.django_db
@pytest.mark.parametrize("info", [{"exchange": 5, "routing_key": "x"}, {}])
def test_a_stored_message_whose_address_is_nonsense_came_by_its_queue(info: Any) -> None:
    broker().publish([Posting(envelope=envelope(), queue="default")])
    row = QueuedMessage.objects.get()
    payload = json.loads(row.payload)
    payload["properties"]["delivery_info"] = info
    row.payload = json.dumps(payload)
    row.save()

    (delivery,) = received("default")

    assert (delivery.queue, delivery.exchange, delivery.routing_key) == ("default", "", "")


# -- names


@pytest.mark.parametrize(
    "setting", [{"TASK_QUEUES": ["a b"]}, {"TASK_DEFAULT_QUEUE": "<b>"}, {"TASK_QUEUES": ["a", "A"]}]
)
def test_what_is_no_name_for_a_queue_is_refused_where_no_system_check_has_run(
    settings: Any, setting: dict[str, Any]
) -> None:
    """A web server runs none."""
    settings.DJANGO_TASKS = setting

    with pytest.raises(ImproperlyConfigured, match=r"is no name for a queue|differ only in case"):
        queues.declared()


@pytest.mark.parametrize("name", ["a b", "mail\n", "\x1b[2J", "../mail", "mail,other", "m*"])
@pytest.mark.parametrize("ask", [app.control.pause_queue, app.control.purge, queues.find, queues.to_kombu])
def test_whatever_takes_a_queue_s_name_takes_declared_ones_only(ask: Callable[[str], Any], name: str) -> None:
    with pytest.raises(UnknownQueue):
        ask(name)


@pytest.mark.parametrize("name", ["a b", "../mail", "\x1b[2J"])
def test_so_do_calls_and_the_command_of_a_worker(name: str) -> None:
    with pytest.raises(UnknownQueue):
        note.apply_async(queue=name)
    with pytest.raises(CommandError, match="No queue"):
        call_command("runworker", queues=name)
    with pytest.raises(CommandError, match="No queue"):
        call_command("taskcontrol", "pause", name)
