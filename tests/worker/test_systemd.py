"""What systemd hears: read from a socket of the kind that it listens on."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_tasks import clock
from django_tasks.worker.health import Health
from django_tasks.worker.systemd import Systemd

WELL = Health()
ILL = Health(reasons=("The broker is away.",))


class Ear:
    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """The datagrams that have come, as lines."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return datagrams

    def fill(self) -> None:
        """Somebody else says so much that there is no room for more until it is read."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
            other.setblocking(False)
            while True:
                other.sendto(b"STATUS=", self.socket.getsockname())


@pytest.fixture(params=["abstract", "path"])
def ear(request: pytest.FixtureRequest) -> Iterator[Ear]:
    # Not pytest's folder: the names of sockets must not be long.
    with tempfile.TemporaryDirectory() as folder:
        name = f"@{uuid.uuid4().hex}" if request.param == "abstract" else str(Path(folder, "notify"))
        ear = Ear(name)
        yield ear
        ear.socket.close()


@pytest.fixture
def systemd(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """Wants to hear every ten seconds that the worker lives."""
    monkeypatch.setenv("NOTIFY_SOCKET", ear.address)
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    systemd = Systemd.from_environment()
    yield systemd
    systemd.close()


def test_the_variables_are_taken_out_of_the_environment(systemd: Systemd) -> None:
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)


def test_it_hears_why_the_worker_is_not_ready_and_once_that_it_is(systemd: Systemd, ear: Ear) -> None:
    systemd.watchdog = None
    for ready in (ILL, ILL, WELL, WELL, ILL):
        systemd.tell(live=WELL, ready=ready)

    assert ear.heard() == [
        ["STATUS=The broker is away."],
        ["READY=1", f"MAINPID={os.getpid()}", "STATUS=Running tasks."],
        ["STATUS=The broker is away."],
    ]


def test_it_hears_once_that_the_worker_ends(systemd: Systemd, ear: Ear) -> None:
    systemd.tell_of_end()
    systemd.tell_of_end()

    assert ear.heard() == [["STOPPING=1"]]


def test_it_hears_twice_in_each_span_that_the_worker_lives(
    systemd: Systemd, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = []
    for now in (100.0, 104.9, 105.0, 109.9, 110.0):
        monkeypatch.setattr(clock, "monotonic", lambda now=now: now)
        systemd.tell(live=WELL, ready=WELL)
        beats.append(any("WATCHDOG=1" in lines for lines in ear.heard()))

    assert beats == [True, False, True, False, True]
    assert systemd.pause() == 5.0


def test_what_it_had_no_room_for_it_hears_when_it_has(systemd: Systemd, ear: Ear) -> None:
    ear.fill()
    systemd.tell(live=WELL, ready=WELL)
    assert 0 < systemd.pause() <= 0.1
    ear.heard()

    systemd.tell(live=WELL, ready=WELL)

    assert ear.heard() == [["READY=1", f"MAINPID={os.getpid()}", "STATUS=Running tasks.", "WATCHDOG=1"]]
    assert systemd.pause() > 4


def test_that_the_worker_ends_it_hears_when_it_has_room_for_that(systemd: Systemd, ear: Ear) -> None:
    systemd.tell(live=WELL, ready=WELL)
    ear.fill()
    systemd.tell_of_end()
    ear.heard()

    systemd.tell(live=WELL, ready=ILL)
    systemd.tell_of_end()

    assert ear.heard() == [["STATUS=The broker is away.", "STOPPING=1"]]


def test_it_hears_nothing_of_life_from_a_worker_that_is_not_live(systemd: Systemd, ear: Ear) -> None:
    systemd.tell(live=ILL, ready=ILL)

    assert ear.heard() == [["STATUS=The broker is away."]]


@pytest.mark.parametrize(("span", "pid"), [("", ""), ("0", ""), ("soon", ""), ("10000000", "1")])
def test_a_watchdog_that_is_off_or_another_s_is_not_told(
    ear: Ear, monkeypatch: pytest.MonkeyPatch, span: str, pid: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", ear.address)
    monkeypatch.setenv("WATCHDOG_USEC", span)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    systemd = Systemd.from_environment()

    systemd.tell(live=WELL, ready=WELL)

    assert systemd.watchdog is None
    assert not any("WATCHDOG=1" in lines for lines in ear.heard())
    systemd.close()


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234"])
def test_without_a_socket_of_this_machine_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)

    systemd = Systemd.from_environment()
    systemd.tell(live=WELL, ready=WELL)

    assert not systemd.listens
    assert systemd.pause() == float("inf")


def test_that_nobody_listens_any_more_stops_no_worker(systemd: Systemd, ear: Ear) -> None:
    ear.socket.close()

    systemd.tell(live=WELL, ready=WELL)
    systemd.tell_of_end()

    assert systemd.is_ready
