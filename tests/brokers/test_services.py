"""The servers that tests are given: they really stop, come back, and are nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kombu
import pytest
from kombu.exceptions import OperationalError

from tests.services import OwnRedis, OwnServer, Server


def connection(url: str) -> Any:
    # RabbitMQ has a message when it has confirmed it, not when it was sent.
    options = {"confirm_publish": True} if url.startswith("amqp") else {}
    return kombu.Connection(url, connect_timeout=5, transport_options=options)


def send(url: str, text: str) -> None:
    with connection(url) as opened, opened.SimpleQueue("default") as queue:
        queue.put(text)


def receive(url: str) -> str:
    with connection(url) as opened, opened.SimpleQueue("default") as queue:
        message = queue.get(timeout=10)
        message.ack()
        return str(message.payload)


def is_empty(url: str) -> bool:
    with connection(url) as opened, opened.SimpleQueue("default") as queue:
        try:
            queue.get(block=False)
        except queue.Empty:
            return True
    return False


def test_a_shared_server_is_empty(shared_server: Server) -> None:
    send(shared_server.url, "of the test before")

    shared_server.empty()

    assert is_empty(shared_server.url)


def test_a_server_that_was_killed_has_kept_what_it_was_given(own_server: OwnServer) -> None:
    send(own_server.url, "kept")

    own_server.kill()
    with pytest.raises((OperationalError, OSError)), connection(own_server.url) as opened:
        opened.ensure_connection(max_retries=1, interval_start=0)
    own_server.start()

    assert receive(own_server.url) == "kept"


def test_a_server_is_restarted_at_the_same_address(own_server: OwnServer) -> None:
    send(own_server.url, "kept")
    before = own_server.process

    own_server.restart()

    assert own_server.process is not before
    assert receive(own_server.url) == "kept"


@pytest.mark.redis
def test_a_server_whose_port_another_one_has_is_not_believed_to_run(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    second = OwnRedis(tmp_path)
    second.url = own_redis.url

    with pytest.raises(AssertionError, match="has ended"):
        second.start()
