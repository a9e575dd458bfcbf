"""Where a look into a queue begins, when its beginning is full of rows that are deleted and still there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.brokers import places
from django_tasks.brokers.broker import Receiver
from django_tasks.brokers.handler import broker
from django_tasks.models.queue import QueuedMessage, QueuedMessageQuerySet, next_of_queue

from .arrivals import Open, ids, message

pytestmark = pytest.mark.django_db

#: Seconds that a look seems to take: its beginning and its end are asked for.
LOOK = 2 * places.SLOW


@pytest.fixture
def receiver(open_receiver: Open) -> Receiver:
    return open_receiver()


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Looks are slow; and time goes by."""
    now = [1000.0]

    def tick(seconds: float = LOOK) -> float:
        now[0] += seconds
        return now[0]

    monkeypatch.setattr(clock, "monotonic", tick)
    return lambda seconds: tick(seconds) and None


@pytest.fixture
def littered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueuedMessageQuerySet, "dead", lambda _: places.MANY_DEAD + 1)


def next_of(receiver: Receiver) -> list[str]:
    with receiver.receive(1) as deliveries:
        receiver.settle(deliveries)
        return ids(deliveries)


@pytest.mark.usefixtures("littered")
def test_what_comes_before_the_place_waits_a_while_and_not_for_good(
    receiver: Receiver, sleep: Callable[[float], None]
) -> None:
    broker().publish([message("1", priority=5), message("2", priority=5)])
    assert next_of(receiver) == ["1"]

    broker().publish([message("urgent", priority=0)])

    assert next_of(receiver) == ["2"]
    assert next_of(receiver) == []
    assert receiver.patience <= places.KEPT_TIMES * LOOK  # then it looks again, though it heard nothing more
    sleep(places.KEPT_TIMES * LOOK)
    assert next_of(receiver) == ["urgent"]


@pytest.mark.usefixtures("littered")
def test_what_comes_behind_the_place_is_found_at_once(
    receiver: Receiver, sleep: Callable[[float], None]
) -> None:
    broker().publish([message("1")])
    assert next_of(receiver) == ["1"]

    broker().publish([message("2")])

    assert next_of(receiver) == ["2"]


@pytest.mark.usefixtures("littered")
def test_a_queue_without_a_place_is_looked_through(
    open_receiver: Open, sleep: Callable[[float], None]
) -> None:
    receiver = open_receiver(queues=("default", "other"))
    broker().publish([message("1")])
    assert next_of(receiver) == ["1"]

    QueuedMessage.objects.update(queue="default")
    broker().publish([message("2")])
    QueuedMessage.objects.update(queue="other")

    assert next_of(receiver) == ["2"]


@pytest.mark.usefixtures("littered")
def test_looks_that_are_slow_are_not_preceded_by_the_question_whether_there_is_anything(
    receiver: Receiver, sleep: Callable[[float], None]
) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert next_of(receiver) == []
        return sum(query["sql"].startswith("SELECT 1 ") for query in queries)

    assert asked() == 1

    broker().publish([message("1")])
    assert next_of(receiver) == ["1"]

    assert asked() == 0
    sleep(places.KEPT_TIMES * LOOK)
    assert asked() == 0


def test_looks_that_are_slow_for_another_reason_begin_at_the_beginning(
    receiver: Receiver, sleep: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueuedMessageQuerySet, "dead", lambda _: 0)
    broker().publish([message("1", priority=5), message("2", priority=5)])
    assert next_of(receiver) == ["1"]

    broker().publish([message("urgent", priority=0)])

    assert next_of(receiver) == ["urgent"]


def test_the_index_is_entered_at_the_place() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the others' plans read otherwise, and they keep no dead rows")
    asked = [100, QueuedMessage.State.READY, "default", 0, clock.now(), 10]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of an empty table
        cursor.execute(f"EXPLAIN {next_of_queue(connection, from_place=True)}", asked)
        plan = [line for (line,) in cursor.fetchall()]

    (condition,) = (line for line in plan if "Index Cond" in line)
    assert "ROW(priority, sent_at)" in condition
    assert QueuedMessage.objects.all().dead() >= 0
