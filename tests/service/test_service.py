"""The one loop, the bell it waits on, and services run together."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError

from django_tasks import backoff
from django_tasks.exceptions import OperationalError as BrokerError
from django_tasks.service import Loop, Service, Wakeup, readable, running
from tests.workers import PATIENCE


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with contextlib.suppress(OSError):  # closed by the test
            os.close(fd)


def soon(event: threading.Event) -> bool:
    return event.wait(PATIENCE)


# -- descriptors


def test_a_descriptor_with_something_to_read_is_readable(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    os.write(writer, b"x")

    assert readable([reader], None) == [reader]


def test_a_descriptor_closed_at_the_other_end_is_readable(pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    os.close(writer)

    assert readable([reader], None) == [reader]


def test_nothing_to_read_is_nothing_after_the_timeout(pipe: tuple[int, int]) -> None:
    assert readable([pipe[0]], 0.001) == []
    assert readable([], -1) == []


def test_a_descriptor_closed_here_is_an_error_and_no_hot_loop(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])

    with pytest.raises(OSError, match="closed here"):
        readable([pipe[0]], None)


def test_descriptors_beyond_a_thousand_can_be_waited_on(pipe: tuple[int, int]) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1500:
        pytest.skip("this process may not open so many files")
    os.write(pipe[1], b"x")
    os.dup2(pipe[0], 1500)

    assert readable([1500], None) == [1500]

    os.close(1500)


# -- the bell


def test_a_ring_before_the_wait_is_not_lost(wakeup: Wakeup) -> None:
    wakeup.ring()

    assert wakeup.wait(None) == []


def test_many_rings_are_one(wakeup: Wakeup) -> None:
    for _ in range(100_000):  # more than a pipe holds
        wakeup.ring()

    wakeup.wait(None)
    while readable([wakeup.fileno()], 0):
        wakeup.wait(0)

    assert not readable([wakeup.fileno()], 0)


def test_a_ring_from_another_thread_ends_the_wait(wakeup: Wakeup) -> None:
    threading.Timer(0.01, wakeup.ring).start()

    assert wakeup.wait(None) == []


def test_a_wait_tells_which_of_the_other_descriptors_can_be_read(
    wakeup: Wakeup, pipe: tuple[int, int]
) -> None:
    os.write(pipe[1], b"x")

    assert wakeup.wait(None, [pipe[0]]) == [pipe[0]]
    assert wakeup.wait(0) == []


def test_a_signal_ends_the_wait_and_is_known_by_its_number(wakeup: Wakeup) -> None:
    handler = signal.signal(signal.SIGUSR1, lambda *_: None)
    before = signal.set_wakeup_fd(wakeup.ringer, warn_on_full_buffer=False)
    try:
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        while signal.SIGUSR1 not in wakeup.signals:
            wakeup.wait(PATIENCE)
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, handler)

    assert wakeup.signals == {signal.SIGUSR1}


def test_a_forked_child_can_ring_for_its_parent(wakeup: Wakeup) -> None:
    child = os.fork()
    if child == 0:
        wakeup.ring()
        os._exit(0)

    wakeup.wait(None)

    assert os.waitpid(child, 0)[1] == 0


def test_a_ring_after_the_close_reaches_no_other_file(tmp_path: object) -> None:
    closed = Wakeup()
    number = closed.ringer
    closed.close()
    reader, writer = os.pipe()
    os.dup2(writer, number)  # the number of the closed one is given to another file

    closed.ring()

    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    for fd in {reader, writer, number}:
        os.close(fd)


# -- the loop


def test_a_loop_turns_until_it_is_told_to_stop() -> None:
    turns: list[int] = []

    def turn() -> float:
        turns.append(len(turns))
        if len(turns) == 3:
            loop.request_stop()
        return 0

    loop = Loop(turn, name="test", interval=60)
    loop.run()

    assert turns == [0, 1, 2]


def test_a_stop_requested_before_the_start_is_not_lost() -> None:
    turns: list[int] = []
    loop = Loop(lambda: turns.append(1), name="test", interval=60)

    loop.request_stop()
    loop.start()
    loop.stop()

    assert turns == []


def test_a_stop_before_any_start_returns() -> None:
    Loop(lambda: None, name="test", interval=60).stop()


def test_a_stop_ends_a_long_pause_at_once() -> None:
    turned = threading.Event()
    loop = Loop(lambda: turned.set(), name="test", interval=3600)
    loop.start()
    assert soon(turned)

    loop.stop()

    assert loop.thread is not None
    assert not loop.thread.is_alive()


def test_a_ring_brings_the_next_turn() -> None:
    turns = threading.Semaphore(0)
    wakeup = Wakeup()
    loop = Loop(lambda: turns.release(), name="test", interval=3600, wakeup=wakeup)
    loop.start()
    assert turns.acquire(timeout=PATIENCE)

    wakeup.ring()

    assert turns.acquire(timeout=PATIENCE)
    loop.stop()
    wakeup.close()


@pytest.mark.parametrize(("answer", "pause"), [(None, 7.0), (3.5, 3.5), (0, None)])
def test_a_turn_says_how_long_the_pause_is(answer: float | None, pause: float | None) -> None:
    pauses: list[float] = []
    turns = iter([answer])

    def turn() -> float | None:
        try:
            return next(turns)
        except StopIteration:
            loop.request_stop()
            return 0

    loop = Loop(turn, name="test", interval=7.0, wait=pauses.append)
    loop.run()

    assert pauses == ([] if pause is None else [pause])


def failing(times: int, error: Exception) -> tuple[Loop, list[float], list[BaseException]]:
    """A loop whose first turns fail; with the pauses it makes, and the errors it cleans up after."""
    pauses: list[float] = []
    errors: list[BaseException] = []
    turns = iter(range(times))

    def turn() -> float | None:
        if next(turns, None) is not None:
            raise error
        loop.request_stop()
        return None

    loop = Loop(turn, name="test", interval=60, wait=pauses.append, on_error=errors.append)
    return loop, pauses, errors


def test_after_an_error_the_loop_cleans_up_waits_longer_each_time_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backoff.random, "uniform", lambda low, high: high)
    error = ZeroDivisionError()
    loop, pauses, errors = failing(3, error)

    loop.run()

    assert errors == [error] * 3
    assert pauses == [0.5, 1.0, 2.0]
    assert loop.failures == 0


def test_a_bug_is_reported_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    loop, _, _ = failing(1, ZeroDivisionError("over nothing"))

    loop.run()

    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "django_tasks.service")
    assert record.exc_info is not None
    assert "test failed (1 in a row) and tries again: over nothing" in record.getMessage()


def test_a_database_that_is_away_for_a_moment_is_a_warning_and_for_long_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, _, _ = failing(3, OperationalError("away"))

    loop.run()

    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.WARNING, logging.ERROR]


def test_a_broker_that_is_away_is_told_in_one_line_and_less_and_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, _, _ = failing(9, BrokerError("The broker is away."))

    loop.run()

    assert [record.getMessage().partition(" in a row")[0] for record in caplog.records] == [
        f"test failed ({number}" for number in (1, 2, 3, 4, 8)
    ]
    assert {(record.levelno, record.exc_info) for record in caplog.records} == {(logging.WARNING, None)}


def test_the_pauses_after_failures_grow_up_to_what_the_loop_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.random, "uniform", lambda low, high: high)
    loop, pauses, _ = failing(5, ZeroDivisionError())
    loop.longest = 2.0

    loop.run()

    assert pauses == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_failing_cleanup_does_not_end_the_loop() -> None:
    def fail(_: BaseException) -> None:
        raise ValueError

    loop, pauses, _ = failing(2, ZeroDivisionError())
    loop.on_error = fail

    loop.run()

    assert len(pauses) == 2


def test_a_failing_wait_does_not_end_the_loop() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            loop.request_stop()
        raise OSError("the descriptor was closed")

    loop = Loop(lambda: None, name="test", interval=0.001, wait=wait)
    loop.run()

    assert len(waits) == 2


def test_at_its_end_a_loop_tidies_up_whatever_ended_it() -> None:
    ended: list[str] = []

    def turn() -> None:
        raise SystemExit

    loop = Loop(turn, name="test", interval=60, on_end=lambda: ended.append("tidied"))

    with pytest.raises(SystemExit):
        loop.run()

    assert ended == ["tidied"]


# -- services together


class Noted(Service):
    def __init__(self, name: str, said: list[str], *, fails_at: str = "") -> None:
        self.name, self.said, self.fails_at = name, said, fails_at

    def start(self) -> None:
        self._say("start")

    def stop(self) -> None:
        self._say("stop")

    def _say(self, what: str) -> None:
        self.said.append(f"{what} {self.name}")
        if self.fails_at == what:
            raise ZeroDivisionError(what)


def run(said: list[str], **fails_at: str) -> Callable[[], None]:
    def inside() -> None:
        with running([Noted(name, said, fails_at=fails_at.get(name, "")) for name in "abc"]):
            said.append("run")

    return inside


def test_services_start_in_order_and_stop_in_reverse() -> None:
    said: list[str] = []

    run(said)()

    assert said == ["start a", "start b", "start c", "run", "stop c", "stop b", "stop a"]


def test_a_service_that_cannot_start_stops_those_that_did() -> None:
    said: list[str] = []

    with pytest.raises(ZeroDivisionError, match="start"):
        run(said, b="start")()

    assert said == ["start a", "start b", "stop a"]


def test_a_service_that_cannot_stop_keeps_no_other_from_it() -> None:
    said: list[str] = []

    with pytest.raises(ZeroDivisionError, match="stop"):
        run(said, b="stop")()

    assert said[-3:] == ["stop c", "stop b", "stop a"]
