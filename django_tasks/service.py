"""What the processes are made of: things that start and stop, and the one loop.

A service says only what one turn is; waiting, waking, errors and stopping are written here, once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from django.db import InterfaceError, OperationalError

from . import backoff
from .exceptions import OperationalError as BrokerError

logger = logging.getLogger("django_tasks.service")

#: Seconds: the longest pause after failures in a row.
LONGEST_PAUSE = 30.0
#: No signal has this number.
_RING = b"\xff"


def readable(fds: Sequence[int], timeout: float | None) -> list[int]:
    """Sleep until some of `fds` can be read or were closed at the other end, and say which; or `timeout` seconds.

    With `poll`, because `select` refuses descriptors from 1024 on, and a web server with many clients has such.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    found = poll.poll(None if timeout is None else math.ceil(max(timeout, 0) * 1000))
    if closed := [fd for fd, events in found if events & select.POLLNVAL]:
        raise OSError(errno.EBADF, f"Descriptor {closed[0]} was closed here")
    return [fd for fd, _ in found]


class Wakeup:
    """A bell that a thread waits on together with file descriptors, and that any thread, signal or fork can ring.

    It is a pipe, not an `Event`, because a waiter must hear the database's socket and a dying parent as well.
    Ringing twice before anybody listens is ringing once; a ring before the wait is not lost.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        #: Signals heard through `ringer`, also while the main thread is stuck where no Python handler runs.
        self.signals: set[int] = set()

    def ring(self) -> None:
        # Full pipe: it is ringing already. Closed pipe: nobody listens any more.
        with contextlib.suppress(OSError):
            os.write(self._writer, _RING)

    def wait(self, timeout: float | None, also: Sequence[int] = ()) -> list[int]:
        """Until rung, until a descriptor of `also` can be read, or `timeout` seconds; which of `also` can be."""
        ready = readable([self._reader, *also], timeout)
        if self._reader in ready:
            with contextlib.suppress(BlockingIOError):
                self.signals.update(byte for byte in os.read(self._reader, 4096) if byte != _RING[0])
        return [fd for fd in ready if fd != self._reader]

    def fileno(self) -> int:
        """The end to read: becomes readable when rung."""
        return self._reader

    @property
    def ringer(self) -> int:
        """The end to write, for `signal.set_wakeup_fd`."""
        return self._writer

    def close(self) -> None:
        reader, writer = self._reader, self._writer
        # The numbers will be given to other files, which a late ring must not write to.
        self._reader = self._writer = -1
        os.close(reader)
        os.close(writer)


class Service(ABC):
    """Something that runs from `start` to `stop`."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None:
        """Ask it to end and wait until it has."""


class Loop(Service):
    """Turn after turn until told to stop.

    `turn` returns the seconds until the next one: `0` for at once, `None` for the usual `interval`. An exception
    is reported and answered with a growing pause; the loop goes on. `wakeup` ends a pause early. `wait` replaces how
    a pause is spent, for turns that must also listen elsewhere. `longest` limits the growing pause.
    """

    def __init__(
        self,
        turn: Callable[[], float | None],
        *,
        name: str,
        interval: float,
        wakeup: Wakeup | None = None,
        wait: Callable[[float], object] | None = None,
        on_error: Callable[[BaseException], object] | None = None,
        on_end: Callable[[], object] | None = None,
        longest: float = LONGEST_PAUSE,
    ) -> None:
        self.turn = turn
        self.name = name
        self.interval = interval
        self.wakeup = wakeup or Wakeup()
        self.wait = wait or self.wakeup.wait
        self.on_error = on_error
        self.on_end = on_end
        self.longest = longest
        self.failures = 0
        self.stopping = False
        self.thread: threading.Thread | None = None

    def run(self) -> None:
        """Turn in this thread until `request_stop`."""
        try:
            while not self.stopping:
                pause = self._turn()
                if pause and not self.stopping:
                    self._pause(pause)
        finally:
            if self.on_end is not None:
                self.on_end()

    def _turn(self) -> float:
        try:
            pause = self.turn()
        except Exception as error:  # noqa: BLE001 - whatever one turn does, the loop goes on
            return self._recover(error)
        self.failures = 0
        return self.interval if pause is None else pause

    def _pause(self, seconds: float) -> None:
        try:
            self.wait(seconds)
        except Exception as error:  # noqa: BLE001 - it listens to descriptors that others may have closed
            self.wakeup.wait(self._recover(error))

    def _recover(self, error: Exception) -> float:
        """Tell of a failure, clean up after it, and say how long to wait."""
        self.failures += 1
        self._report(error)
        try:
            if self.on_error is not None:
                self.on_error(error)
        except Exception:
            logger.exception("%s could not clean up after that", self.name)
        return backoff.delay(self.failures, most=self.longest)

    def _report(self, error: Exception) -> None:
        """A database that is away or a lost race for a lock passes; of anything else the place is shown.

        The longer it lasts the less often it is told: the fourth time, the eighth, the sixteenth.
        """
        if self.failures > 3 and self.failures & (self.failures - 1):
            return
        # Of a broker there is nothing more to show; its error may be anybody's fault but this code's.
        passing = isinstance(error, BrokerError) or (
            isinstance(error, OperationalError | InterfaceError) and self.failures < 3
        )
        logger.log(
            logging.WARNING if passing else logging.ERROR,
            "%s failed (%d in a row) and tries again: %s",
            self.name,
            self.failures,
            error,
            exc_info=None if passing else error,
        )

    def request_stop(self) -> None:
        """Stop after the turn under way; safe from any thread and from a signal handler, also before `run`."""
        self.stopping = True
        self.wakeup.ring()

    def start(self) -> None:
        self.thread = threading.Thread(target=self.run, name=self.name, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.request_stop()
        if self.thread is not None:
            self.thread.join()


@contextlib.contextmanager
def running(services: Sequence[Service]) -> Iterator[None]:
    """The services, started in order and stopped in reverse, each even if another fails to."""
    with contextlib.ExitStack() as started:
        for service in services:
            service.start()
            started.callback(service.stop)
        yield
