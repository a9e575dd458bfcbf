"""When the relay looks for what is due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, connections
from django.test import override_settings

from django_tasks import clock
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.embedded import Embedded
from django_tasks.brokers.handler import broker
from django_tasks.message.message import Envelope
from django_tasks.models import QueuedMessage
from django_tasks.service import Loop
from django_tasks.worker import relay
from django_tasks.worker.relay import Relay
from tests.threads import Errand
from tests.workers import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def store(seconds: float | None = None) -> None:
    """A message, from another connection; parked, if it is due after so many seconds."""
    due = None if seconds is None else clock.now() + dt.timedelta(seconds=seconds)
    envelope = Envelope(headers={}, body="[]", content_type="application/json", content_encoding="utf-8")
    posting = Posting(envelope=envelope, queue="default", deliver_at=due)
    Errand(lambda: Embedded("django://default", {}).publish([posting])).result()


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Relay]]:
    """A relay in a thread of its own that has found nothing, and would look by itself in a minute."""
    if connection.vendor == "mysql":
        pytest.skip("MariaDB gives no sign: its relay looks more often")
    monkeypatch.setattr(relay, "LOOK_ANYWAY", 60.0)
    loops = []

    def start() -> Relay:
        made = Relay()
        loop = Loop(
            made.turn,
            name="relay",
            interval=60.0,
            wakeup=made.wakeup,
            wait=made.wait,
            on_end=connections.close_all,
        )
        loops.append(loop)
        loop.start()
        eventually(lambda: made.is_listening, "it listens")
        return made

    yield start
    for loop in loops:
        loop.stop()


def test_a_message_parked_while_the_relay_sleeps_is_delivered_when_it_is_due(
    sleeping: Callable[[], Relay],
) -> None:
    sleeping()

    store(seconds=0.2)

    eventually(lambda: QueuedMessage.objects.ready().exists(), "it is ready")


def test_what_is_stored_for_a_broker_elsewhere_wakes_the_relay(sleeping: Callable[[], Relay]) -> None:
    with override_settings(DJANGO_TASKS={"BROKER_URL": "memory://"}):
        broker().purge("default")  # it is the whole process's
        sleeping()

        store()

        eventually(lambda: broker().size("default") == 1, "it is there")
        eventually(lambda: not QueuedMessage.objects.exists(), "it is here no more")


def test_the_relay_sleeps_until_the_next_message_is_due() -> None:
    if connection.vendor == "mysql":
        pytest.skip("MariaDB gives no sign: its relay looks more often")
    store(seconds=3600)
    store(seconds=3)
    made = Relay()

    made.turn()

    assert 0 < made.look_at - clock.monotonic() <= 3


@pytest.mark.parametrize(("delivered", "pause"), [(1, relay.AT_WORK), (relay.MOST_RELAYED, 0)])
def test_where_something_was_due_the_next_look_is_soon(
    monkeypatch: pytest.MonkeyPatch, delivered: int, pause: float
) -> None:
    monkeypatch.setattr(Embedded, "relay", lambda _: delivered)

    assert Relay().turn() == pause
