"""A connection is given up when the broker gives no sign of life, and only then."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from django_tasks.brokers import connecting
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import OperationalError
from tests.proxy import through_proxy
from tests.services import RabbitMQ
from tests.workers import eventually

pytestmark = [pytest.mark.rabbitmq, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "HEARTBEAT", 1)


def test_signs_of_life_are_heard_while_nothing_is_wanted(
    rabbitmq_server: RabbitMQ, use_broker: Callable[[str], None]
) -> None:
    use_broker(rabbitmq_server.url)
    receiver = broker().receiver(["default"], "someone")
    with receiver.receive(1):
        receiver.rest()
    link = receiver.connection.connection  # type: ignore[attr-defined]
    before = link.bytes_recv

    # Two a second: after four without one it would have been given up.
    def has_heard() -> bool:
        receiver.keep_alive()
        return bool(link.bytes_recv >= before + 8)

    eventually(has_heard, "signs of life")

    receiver.close()


def test_without_signs_of_life_the_connection_is_given_up(
    rabbitmq_server: RabbitMQ, use_broker: Callable[[str], None]
) -> None:
    with through_proxy(rabbitmq_server.url) as network:
        use_broker(network.url(rabbitmq_server.url))
        receiver = broker().receiver(["default"], "someone")
        with receiver.receive(1):
            receiver.rest()

        network.hold()

        with pytest.raises(OperationalError, match="is not to be received from"):
            eventually(receiver.keep_alive)
        receiver.abandon()


def test_what_tls_has_deciphered_already_is_heard_of(
    rabbitmq_server: RabbitMQ, use_broker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is left to be read from the descriptor."""
    use_broker(rabbitmq_server.url)
    receiver = broker().receiver(["default"], "someone")
    with receiver.receive(1) as nothing:
        assert nothing == []
    assert not receiver.has_news()
    transport = receiver.connection.connection.transport  # type: ignore[attr-defined]

    with monkeypatch.context() as patched:
        patched.setattr(transport, "sock", Deciphered(transport.sock))
        has_news = receiver.has_news()

    assert has_news
    receiver.close()


class Deciphered:
    """A socket of TLS that has read a record further than it was asked to."""

    def __init__(self, below: socket.socket) -> None:
        self.below = below

    def fileno(self) -> int:
        return self.below.fileno()

    def pending(self) -> int:
        return 8
