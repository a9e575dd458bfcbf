"""What is peculiar to receiving from the lists of Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_tasks.brokers.handler import broker
from django_tasks.brokers.redis_lists import Lists
from django_tasks.exceptions import OperationalError
from django_tasks.models import Sight
from tests.services import Redis
from tests.workers import eventually

from .arrivals import Open, all_of, post, some

pytestmark = [pytest.mark.redis, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _on_redis(redis_server: Redis, use_broker: Callable[[str], None]) -> None:
    use_broker(redis_server.url)


def test_listening_leaves_the_messages_and_their_order_as_they_are(
    open_receiver: Open, redis_server: Redis
) -> None:
    receiver = open_receiver()
    with receiver.receive(1) as nothing:
        assert nothing == []

    post("1", "2")
    eventually(receiver.has_news)

    with redis_server.client() as client:
        assert client.llen("default") == 2
    assert all_of(receiver, 2) == ["1", "2"]


def test_what_is_taken_is_in_redis_until_it_is_decided_of(open_receiver: Open, redis_server: Redis) -> None:
    receiver = open_receiver("somebody")
    post("1", "2")

    with redis_server.client() as client:
        with some(receiver, 2) as deliveries:
            assert client.llen("django_tasks.taken:somebody") == 4  # each with the name of its list
            receiver.settle(deliveries)
        assert client.llen("django_tasks.taken:somebody") == 0


def test_who_consumes_for_another_database_is_not_taken_for_ours(open_receiver: Open) -> None:
    """Two projects may use one Redis. Those that are not in our table of workers would all be dead for us."""
    open_receiver("somebody")
    assert broker().owners() == ["somebody"]

    Sight.objects.update(fleet="another")

    assert broker().owners() == []


def test_what_is_left_of_a_batch_that_failed_stays_in_redis(open_receiver: Open) -> None:
    receiver = open_receiver("somebody")
    post("1", "2", "3")
    with pytest.raises(RuntimeError), some(receiver, 3):
        raise RuntimeError

    with receiver.receive(1) as deliveries:
        receiver.settle(deliveries)
    receiver.abandon()  # it died then
    broker().rescue("somebody", 3, "died")

    assert all_of(open_receiver("another"), 2) == ["2", "3"]


def test_what_is_left_of_a_batch_that_failed_can_be_given_back(open_receiver: Open) -> None:
    receiver = open_receiver()
    post("1", "2", "3")
    with pytest.raises(RuntimeError), some(receiver, 3):
        raise RuntimeError

    with receiver.receive(1) as deliveries:
        receiver.settle(deliveries)
    receiver.rest()

    assert all_of(open_receiver("another"), 2) == ["2", "3"]


def test_a_consumer_is_known_again_after_redis_was_flushed(open_receiver: Open, redis_server: Redis) -> None:
    receiver = open_receiver("somebody")
    redis_server.empty()
    post("1")

    with pytest.raises(RuntimeError), some(receiver):
        raise RuntimeError

    assert broker().owners() == ["somebody"]


def test_names_have_the_prefix_that_kombu_gives_them(
    open_receiver: Open, redis_server: Redis, settings: Any
) -> None:
    options = {"global_keyprefix": "site:"}
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "BROKER_TRANSPORT_OPTIONS": options}
    receiver = open_receiver()
    post("1")

    with redis_server.client() as client:
        assert client.llen("site:default") == 1
        assert all_of(receiver, 1) == ["1"]
        assert all(key.startswith((b"site:", b"_kombu")) for key in client.scan_iter())


def test_a_redis_that_is_too_old_is_refused_with_what_to_do(
    open_receiver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis.Redis.info", lambda self, section: {"redis_version": "6.0.16"})

    with pytest.raises(OperationalError, match=r"Use 6\.2 or later"):
        open_receiver()


def test_who_died_while_redis_was_away_is_remembered(
    open_receiver: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = open_receiver("somebody")
    post("1")
    with pytest.raises(RuntimeError), some(receiver):
        raise RuntimeError
    receiver.abandon()

    with monkeypatch.context() as away:
        away.setattr(Lists, "give_back", _away)
        broker().rescue("somebody", 3, "died")
    assert broker().relay() == 0

    assert all_of(open_receiver("another"), 1) == ["1"]
    assert broker().owners() == ["another"]


def _away(*_: Any) -> int:
    raise ConnectionError
