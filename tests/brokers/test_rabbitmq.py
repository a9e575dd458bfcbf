"""What is peculiar to RabbitMQ: kinds of queues, priorities, confirms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import OperationalError, Unroutable
from django_tasks.models import QueuedMessage
from tests.ledger.tasks import note_untracked
from tests.services import RabbitMQ
from tests.workers import eventually

from .arrivals import Open, all_of, ids, message, post, some

pytestmark = [pytest.mark.rabbitmq, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def server(rabbitmq_server: RabbitMQ, use_broker: Callable[[str], None]) -> RabbitMQ:
    use_broker(rabbitmq_server.url)
    return rabbitmq_server


@pytest.fixture
def declare(settings: Any) -> Callable[[dict[str, Any]], None]:
    def declare(queues: dict[str, Any]) -> None:
        settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "TASK_QUEUES": queues}

    return declare


def to(queue: str, *postings: Posting) -> list[Posting]:
    return [dataclasses.replace(posting, queue=queue) for posting in postings]


def test_a_quorum_queue_is_received_from_as_any_other(declare: Any, open_receiver: Open) -> None:
    declare({"safe": {"queue_arguments": {"x-queue-type": "quorum"}}})
    broker().publish(to("safe", *(message(str(number)) for number in range(30))))
    first, second = open_receiver("first", ["safe"]), open_receiver("second", ["safe"])

    with some(first, 5) as deliveries:
        first.release(deliveries)
    first.rest()

    assert sorted(all_of(second, 30), key=int) == [str(number) for number in range(30)]


def test_the_greatest_priority_is_served_first_in_a_queue_that_is_declared_for_it(
    declare: Any, open_receiver: Open
) -> None:
    declare({"urgent": {"queue_arguments": {"x-max-priority": 9}}})

    broker().publish(to("urgent", *(message(str(priority), priority=priority) for priority in (0, 9, 5))))

    assert all_of(open_receiver(queues=["urgent"]), 3) == ["9", "5", "0"]


def test_what_the_broker_refuses_was_not_sent(declare: Any) -> None:
    declare({"full": {"queue_arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}}})
    broker().publish(to("full", message("1")))

    with pytest.raises(OperationalError, match="its queue may be full"):
        broker().publish(to("full", message("2")))

    assert eventually(lambda: broker().size("full") == 1)


def test_what_the_broker_refuses_keeps_nothing_else_from_being_relayed(declare: Any) -> None:
    declare({"full": {"queue_arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}}})
    broker().publish(to("full", message("1")))
    broker().keep([*to("full", message("2")), message("3"), message("4")])

    for _ in range(2):
        broker().relay()

    assert broker().size("default") == 2
    assert QueuedMessage.objects.get().queue == "full"


def test_what_closes_its_channel_keeps_nothing_else_from_being_relayed() -> None:
    deadly = message("1")
    never = dataclasses.replace(deadly.envelope, properties={"expiration": "9" * 20})
    broker().keep([dataclasses.replace(deadly, envelope=never), message("2"), message("3")])

    for _ in range(2):
        broker().relay()

    assert broker().size("default") == 2
    assert QueuedMessage.objects.count() == 1


def test_a_queue_that_somebody_deleted_is_declared_again_when_something_is_sent_there(
    open_receiver: Open,
) -> None:
    post("1")
    with broker().connect() as somebody:
        somebody.default_channel.queue_delete("default")

    post("2")

    assert all_of(open_receiver(), 1) == ["2"]


def test_opt_27_what_reaches_no_queue_is_an_exception_where_it_is_sent(
    declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare({"mail": {"exchange": "letters", "exchange_type": "topic", "routing_key": "to.*"}})
    # As if the queue were declared elsewhere, and by somebody with other bindings.
    monkeypatch.setattr("django_tasks.brokers.remote.declare_for", _declare_the_exchange_only)

    with pytest.raises(Unroutable, match="The broker has no queue"):
        note_untracked.apply_async(exchange="letters", routing_key="to.me", mandatory=True)


def test_what_reaches_no_queue_has_nothing_else_relayed_twice(
    declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare({"mail": {"exchange": "letters", "exchange_type": "topic", "routing_key": "to.*"}})
    broker().publish([message("0")])
    monkeypatch.setattr("django_tasks.brokers.remote.declare_for", _declare_the_exchange_only)
    address = {"exchange": "letters", "routing_key": "to.me", "mandatory": True}
    broker().keep([dataclasses.replace(message("1"), **address), message("2"), message("3")])

    broker().relay()

    assert eventually(lambda: broker().size("default") >= 3)
    assert broker().size("default") == 3
    assert QueuedMessage.objects.count() == 1


def _declare_the_exchange_only(channel: Any, posting: Posting, anew: bool = False) -> None:
    channel.exchange_declare("letters", "topic", durable=True, auto_delete=False)


def test_confirms_of_more_than_a_window_are_all_waited_for(
    open_receiver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_tasks.brokers.confirming.WINDOW", 7)

    post(*(str(number) for number in range(50)))

    assert broker().size("default") == 50
    with some(open_receiver(), 3) as deliveries:
        assert ids(deliveries)[0] == "0"
