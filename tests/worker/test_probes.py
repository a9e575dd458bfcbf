"""The HTTP port: answers from memory, and nobody who calls it can hold it up."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from django_tasks.service import Loop
from django_tasks.worker import probes
from django_tasks.worker.health import Health
from django_tasks.worker.probes import MOST_BYTES, MOST_CALLERS, Probes
from tests.ports import free_port

ILL = Health(reasons=("The dog ate it.",))


@contextlib.contextmanager
def answering(host: str) -> Iterator[int]:
    """A live worker that is not ready, on the port given."""
    port = free_port()
    answers = Probes(probes.listen(host, port), {"/livez": Health, "/readyz": lambda: ILL})
    loop = Loop(
        lambda: None,
        name="probes",
        interval=0.05,
        wait=lambda seconds: answers.attend(loop.wakeup.wait(seconds, answers.fds)),
        on_end=answers.close,
    )
    loop.start()
    try:
        yield port
    finally:
        loop.stop()
        loop.wakeup.close()


@pytest.fixture
def port() -> Iterator[int]:
    with answering("127.0.0.1") as port:
        yield port


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=30)) as link:
        link.request(method, path)
        response = link.getresponse()
        return response.status, response.read()


def call(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_what_is_well_is_200_and_what_is_not_503_with_the_reasons(port: int) -> None:
    assert ask(port, "/livez") == (200, b'{"ok": true, "reasons": []}\n')

    status, body = ask(port, "/readyz?verbose")

    assert (status, json.loads(body)) == (503, {"ok": False, "reasons": ["The dog ate it."]})


def test_head_is_answered_without_a_body(port: int) -> None:
    assert ask(port, "/readyz", "HEAD") == (503, b"")


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/livez", "POST", 405)])
def test_nothing_else_is_answered(port: int, path: str, method: str, status: int) -> None:
    assert ask(port, path, method)[0] == status


def test_a_caller_that_says_nothing_holds_up_nobody(port: int) -> None:
    with call(port):
        assert ask(port, "/livez")[0] == 200


def test_a_request_that_comes_in_pieces_is_answered(port: int) -> None:
    with call(port) as link:
        link.sendall(b"GET /livez HT")
        ask(port, "/livez")  # so that the first piece has been read
        link.sendall(b"TP/1.1\r\nHost: x\r\n\r\n")

        assert link.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_of_too_many_callers_the_first_is_hung_up_on(port: int) -> None:
    with contextlib.ExitStack() as calls:
        first, *_ = [calls.enter_context(call(port)) for _ in range(MOST_CALLERS + 1)]

        assert first.recv(1) == b""
        assert ask(port, "/livez")[0] == 200


def test_a_caller_that_takes_too_long_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PATIENCE", 0.0)

    with call(port) as link:
        assert link.recv(1) == b""


def test_a_caller_that_says_too_much_is_refused(port: int) -> None:
    with call(port) as link:
        link.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * MOST_BYTES)

        assert b" 431 " in link.recv(1000)


@pytest.mark.parametrize("said", [b"\n\n", b"\xff\r\n\r\n", b"GET\r\n\r\n", b"GET \xff\xfe HTTP/1.1\r\n\r\n"])
def test_nonsense_is_refused(port: int, said: bytes) -> None:
    with call(port) as link:
        link.sendall(said)

        assert link.recv(1000).startswith(b"HTTP/1.1 40")


def test_one_that_hangs_up_before_asking_is_forgotten(port: int) -> None:
    call(port).close()

    assert ask(port, "/livez")[0] == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_on_two_colons_it_answers_both_kinds_of_addresses() -> None:
    with answering("::") as port:
        assert ask(port, "/livez", host="::1")[0] == 200
        assert ask(port, "/livez", host="127.0.0.1")[0] == 200
