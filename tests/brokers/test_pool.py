"""Connections of one's own (FEATURES EXE-15, POOL-02, POOL-03, SET-17)."""

from __future__ import annotations

import threading
from typing import Any

import kombu
import pytest
from django.db import transaction
from kombu.exceptions import LimitExceeded

from django_tasks import app
from django_tasks.brokers.embedded import Embedded
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import UnknownOption
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.tasks import add

pytestmark = pytest.mark.django_db

NUMBERS = [(2, 2), (4, 4), (8, 8), (16, 16)]


def test_pool_02_pool_03_exe_15_a_publisher_of_ones_own_sends_many() -> None:
    """EXM-11: the loop of the guides."""
    results = []
    with add.app.pool.acquire(block=True) as connection, add.get_publisher(connection) as publisher:
        for args in NUMBERS:
            res = add.apply_async(args, publisher=publisher)
            results.append(res)

    assert [TaskResult.objects.get(id=result.id).args for result in results] == list(map(repr, NUMBERS))
    assert QueuedMessage.objects.count() == 4


@pytest.mark.parametrize("word", ["publisher", "producer"])
def test_exe_15_it_goes_through_that_producer_and_through_no_other(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    with app.pool.acquire(block=True) as connection, add.get_publisher(connection) as publisher:
        monkeypatch.setattr(Embedded, "_producer", lambda self: _Elsewhere())
        add.apply_async((1, 2), **{word: publisher})

    assert QueuedMessage.objects.count() == 1


class _Elsewhere:
    """Cannot send."""


def test_exe_15_a_connection_is_enough() -> None:
    with app.pool.acquire(block=True) as connection:
        add.apply_async((1, 2), connection=connection)

    assert QueuedMessage.objects.count() == 1


def test_it_is_part_of_the_transaction_all_the_same() -> None:
    with (
        app.pool.acquire(block=True) as connection,
        add.get_publisher(connection) as publisher,
        transaction.atomic(),
    ):
        add.apply_async((1, 2), publisher=publisher)
        transaction.set_rollback(True)

    assert not QueuedMessage.objects.exists()
    assert not TaskResult.objects.exists()


def test_set_17_the_pool_lends_as_many_as_the_setting_says(settings: Any) -> None:
    settings.DJANGO_TASKS = {"BROKER_POOL_LIMIT": 1}

    with app.pool.acquire() as connection:
        assert connection.transport.driver_type == "django"
        with pytest.raises(LimitExceeded):
            app.pool.acquire()


def test_threads_that_come_at_the_same_moment_share_one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or more connections are lent than the setting says, and those of the other pool are never closed."""
    shared = broker()
    shared.close()
    connect, pools = shared.connect, []
    other = threading.Thread(target=lambda: pools.append(shared.pool()))

    def slow() -> kombu.Connection:
        if not other.ident:
            other.start()
            other.join(0.1)  # it waits, or has made its own by then
        return connect()

    monkeypatch.setattr(shared, "connect", slow)

    pools.append(shared.pool())
    other.join()

    assert pools[0] is pools[1]


def test_a_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    shared = Embedded("django://", {})

    with shared._opening:
        shared.leave()

        assert not shared._opening.locked()


def test_what_leads_elsewhere_is_refused_and_nothing_is_sent() -> None:
    with kombu.Connection("memory://") as elsewhere, pytest.raises(TypeError, match="another broker than"):
        add.apply_async((1, 2), connection=elsewhere)
    with pytest.raises(TypeError, match="get_publisher"):
        add.apply_async((1, 2), publisher="publisher")
    with pytest.raises(TypeError, match=r"app\.pool"):
        add.apply_async((1, 2), connection="redis://")

    assert not QueuedMessage.objects.exists()


def test_other_ways_of_sending_take_none() -> None:
    with pytest.raises(UnknownOption, match="publisher"):
        add.bulk([(1, 2)], publisher=None)  # type: ignore[call-arg]
