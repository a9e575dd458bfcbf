"""What dead consumers of Redis had taken, while Redis is away."""

from __future__ import annotations

import logging

import pytest

from django_tasks.brokers import connecting
from django_tasks.brokers.unacked import Unacked
from tests.ports import free_port


@pytest.fixture
def unacked() -> Unacked:
    """Of a Redis that nobody listens for."""
    pytest.importorskip("redis")
    url = f"redis://127.0.0.1:{free_port()}/0"
    return Unacked(lambda: connecting.connection(url, {}), lambda: "fleet")


def test_while_redis_is_away_nobody_is_known_to_consume(
    unacked: Unacked, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert unacked.owners() == set()

    assert "Redis does not answer; who consumes waits" in caplog.text


def test_what_cannot_be_given_back_now_is_tried_again(unacked: Unacked) -> None:
    unacked.rescue("worker.1")
    unacked.try_again()

    assert unacked.waiting == {"worker.1"}
