"""A consumer that waits hears of a message at once, and is no burden while nothing comes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import kombu
import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks.brokers import database
from django_tasks.brokers.embedded import Embedded
from django_tasks.models.watch import ARRIVALS, ENDINGS, announce, watch
from django_tasks.service import readable
from tests.threads import Errand

pytestmark = pytest.mark.django_db(transaction=True)

Opener = Callable[..., Any]


def publish(body: object) -> None:
    with kombu.Connection("django://") as opened:
        kombu.Producer(opened.channel()).publish(body, routing_key="default")


def consume(opened: Any, callback: Callable[[Any], object]) -> Any:
    consumer = kombu.Consumer(opened.channel(), [kombu.Queue("default")], on_message=callback)
    consumer.consume()
    return consumer


def drain_until(came: threading.Event, opened: Any) -> None:
    while not came.is_set():
        opened.drain_events(timeout=30)


class Waiting:
    """A consumer asleep in a thread of its own; `came` is set when it is given something."""

    def __init__(self) -> None:
        self.asleep, self.came = threading.Event(), threading.Event()
        self.errand = Errand(self._run)
        assert self.asleep.wait(30)

    def _run(self) -> float:
        with kombu.Connection("django://") as opened:
            consume(opened, lambda message: (message.ack(), self.came.set()))
            transport = opened.transport
            wait = transport._wait

            def fall_asleep(seconds: float) -> None:
                # The first sleep ends at once: the watch is new. From the second on it is a real one.
                if transport._watch is not None:
                    self.asleep.set()
                wait(seconds)

            transport._wait = fall_asleep
            drain_until(self.came, opened)
            return time.monotonic()


def test_what_is_sent_over_the_watched_connection_itself_is_news_too() -> None:
    """So are the next steps of a chain to the process that runs it alone."""
    ear = watch(connection, ARRIVALS)
    ear.changed()
    quiet = ear.changed()

    with transaction.atomic():
        announce(connection, ARRIVALS)

    assert ear.changed()
    assert ear.changed() == quiet
    assert quiet != ear.gives_signs
    ear.close()


def test_a_sleeping_consumer_is_woken_by_the_message_and_not_by_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "LOOK_ANYWAY", 60.0)
    waiting = Waiting()

    sent = time.monotonic()
    publish("x")

    # Far from the minute after which it would look by itself.
    assert waiting.errand.result() - sent < 10


def test_a_message_of_the_same_thread_and_connection_is_found_without_waiting(
    open_connection: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOOK_ANYWAY", 60.0)
    opened, came = open_connection(), threading.Event()
    consume(opened, lambda message: came.set())
    with pytest.raises(TimeoutError):
        opened.drain_events(timeout=0.05)

    publish("x")
    opened.drain_events(timeout=0)

    assert came.is_set()


def test_a_message_requeued_elsewhere_wakes_a_sleeping_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOOK_ANYWAY", 60.0)
    publish("x")
    with kombu.Connection("django://") as opened:
        held = opened.default_channel.basic_get("default")
        waiting = Waiting()

        began = time.monotonic()
        held.requeue()

        assert waiting.errand.result() - began < 10


def test_waiting_asks_the_database_seldom(open_connection: Opener) -> None:
    opened = open_connection()
    consume(opened, lambda message: None)
    with pytest.raises(TimeoutError):
        opened.drain_events(timeout=0.01)

    with CaptureQueriesContext(connection) as asked, pytest.raises(TimeoutError):
        opened.drain_events(timeout=1.0)

    # SQLite's cheap look at its version is not among them; MariaDB is polled, ever more seldom.
    assert len(asked) < (25 if connection.vendor == "mysql" else 10)


def test_a_consumer_goes_on_after_its_database_connection_was_replaced(open_connection: Opener) -> None:
    # As `close_old_connections` does between the messages of a long-running program.
    opened, came = open_connection(), threading.Event()
    consume(opened, lambda message: came.set())
    with pytest.raises(TimeoutError):
        opened.drain_events(timeout=0.05)

    connection.close()
    publish("x")
    opened.drain_events(timeout=5)

    assert came.is_set()


def test_an_unlistening_connection_is_left_when_a_consumer_has_gone(open_connection: Opener) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has listeners")
    opened = open_connection()
    consume(opened, lambda message: None)
    with pytest.raises(TimeoutError):
        opened.drain_events(timeout=0.05)
    handlers = connection.connection._notify_handlers
    assert len(handlers) == 1

    opened.release()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_listening_channels()")
        assert cursor.fetchall() == []
    assert handlers == []


def test_a_notice_reaches_everybody_who_listens_on_the_connection() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has notices")
    connection.ensure_connection()
    arrivals, endings = watch(connection, ARRIVALS), watch(connection, ENDINGS)
    heard: list[str] = []
    connection.connection.add_notify_handler(lambda notice: heard.append(notice.channel))
    assert (arrivals.changed(), endings.changed()) == (True, True)

    Errand(lambda: announce(connections["default"], ARRIVALS)).result()
    endings.wait(0.5)

    assert arrivals.changed()
    assert not endings.changed()
    assert heard == [ARRIVALS]
    connection.close()


def test_a_notice_that_came_with_another_answer_is_not_slept_through() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has notices")
    connection.ensure_connection()
    seen = watch(connection, ARRIVALS)
    seen.changed()
    seen.shortest = seen.longest = seen.pause = 60.0

    Errand(lambda: announce(connections["default"], ARRIVALS)).result()
    with connection.cursor() as cursor:  # it reads the notice as well, and leaves the socket empty
        cursor.execute("SELECT 1")
    began = time.monotonic()
    seen.wait(60)

    assert time.monotonic() - began < 10
    seen.close()


def test_a_server_that_went_away_is_a_database_error() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the others are asked by a statement, which says so")
    connection.ensure_connection()
    seen = watch(connection, ARRIVALS)
    seen.changed()
    pid = connection.connection.info.backend_pid

    def kill() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])

    Errand(kill).result()

    try:
        with pytest.raises(OperationalError):
            seen.wait(5)
    finally:
        connection.close()


def test_inside_a_transaction_is_watched_without_listening() -> None:
    with transaction.atomic():
        seen = watch(connection, ARRIVALS)

        seen.wait(0.01)

        assert seen.fd is None
        seen.close()


def test_an_empty_queue_on_a_broker_says_so() -> None:
    empty = Embedded("django://", {})

    assert empty.is_empty(["default"])
    assert empty.size("default") == 0


def test_an_idle_watch_of_sqlite_is_told_by_the_kernel_of_a_commit() -> None:
    if connection.vendor != "sqlite" or sys.platform != "linux":
        pytest.skip("SQLite on Linux")
    with transaction.atomic():
        publish("a first one, so that there is something to watch")
    notices = watch(connection, ARRIVALS)
    notices.changed()
    for _ in range(10):
        notices.found(False)
        notices.changed()
    assert notices.fd is not None

    Errand(lambda: publish("x")).result()

    assert readable([notices.fd], 10)
    assert notices.changed()
    assert notices.fd is None, "what others write all the time is heard now and then"
