"""The network between a test and a server, and what is done to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.proxy import Proxy, Segment, any_piece, one_byte

MUCH = bytes(range(256)) * 4096


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says again what it hears."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def answer_all(listener: socket.socket) -> None:
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(link,), daemon=True).start()


def answer(link: socket.socket) -> None:
    with link:
        try:
            while said := link.recv(65536):
                link.sendall(said)
        except OSError:
            return


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.url_port), timeout=10)


def hear(link: socket.socket, count: int) -> bytes:
    heard = b""
    while len(heard) < count:
        part = link.recv(65536)
        assert part, "the other side has hung up"
        heard += part
    return heard


def test_bytes_come_through_unchanged(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy, connected(proxy) as link:
        threading.Thread(target=link.sendall, args=(MUCH,)).start()

        assert hear(link, len(MUCH)) == MUCH


@pytest.mark.parametrize("segment", [one_byte, any_piece])
def test_bytes_come_through_in_small_segments(echo: int, segment: Segment) -> None:
    with Proxy("127.0.0.1", echo, segment=segment) as proxy, connected(proxy) as link:
        link.sendall(b"every byte alone")

        assert hear(link, 16) == b"every byte alone"


@pytest.mark.parametrize("servers", [True, False])
def test_one_side_is_lost_and_the_other_is_not_told(servers: bool) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Proxy("127.0.0.1", listener.getsockname()[1]) as proxy,
        connected(proxy) as client,
        listener.accept()[0] as server,
    ):
        client.sendall(b"before")
        hear(server, 6)
        gone, left = (server, client) if servers else (client, server)

        proxy.lose(servers=servers)

        gone.settimeout(10)
        assert gone.recv(1) == b""
        left.sendall(b"is anybody there?")
        left.settimeout(0.1)
        with pytest.raises(TimeoutError):
            left.recv(1)


def test_an_end_comes_through(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy, connected(proxy) as link:
        link.sendall(b"last")
        link.shutdown(socket.SHUT_WR)

        assert hear(link, 4) == b"last"
        assert link.recv(1) == b""


def test_connections_are_reset_and_new_ones_accepted(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy, connected(proxy) as link:
        link.sendall(b"before")
        hear(link, 6)

        proxy.reset_all()

        with pytest.raises(ConnectionResetError):
            link.recv(1)
        with connected(proxy) as another:
            another.sendall(b"after")
            assert hear(another, 5) == b"after"


def test_a_black_hole_takes_everything_and_gives_it_up_in_the_end(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy, connected(proxy) as link:
        link.sendall(b"before")
        hear(link, 6)

        proxy.hold()
        link.sendall(MUCH)
        with connected(proxy) as another:
            another.sendall(b"too")
            another.settimeout(0.1)
            with pytest.raises(TimeoutError):
                another.recv(1)
            proxy.release()

            assert hear(link, len(MUCH)) == MUCH
            another.settimeout(10)
            assert hear(another, 3) == b"too"


def test_nobody_listens_until_the_proxy_accepts_again(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy, connected(proxy) as link:
        link.sendall(b"before")
        hear(link, 6)

        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)
        link.sendall(b"still")
        assert hear(link, 5) == b"still"

        proxy.accept()
        with connected(proxy) as another:
            another.sendall(b"again")
            assert hear(another, 5) == b"again"


def test_the_address_of_a_server_is_led_through_the_proxy(echo: int) -> None:
    with Proxy("127.0.0.1", echo) as proxy:
        port = proxy.url_port

        assert proxy.url("amqp://guest:g@127.0.0.1:5672//") == f"amqp://guest:g@127.0.0.1:{port}//"
        assert proxy.url("redis://127.0.0.1:6379/3?x=1") == f"redis://127.0.0.1:{port}/3?x=1"
