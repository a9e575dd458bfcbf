"""How long a body may run, and how it hears that its time is over.

The soft limit raises `SoftTimeLimitExceeded` inside the body: in the main thread by an alarm, which also interrupts a
sleep; in other threads as an asynchronous exception, which Python delivers between two of its instructions. Code that
never comes back to Python hears neither. The hard limit is for that: the supervisor kills the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import itertools
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django_tasks import clock, conf
from django_tasks.definition.task import Task
from django_tasks.exceptions import SoftTimeLimitExceeded
from django_tasks.message.message import TaskMessage
from django_tasks.service import Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds, or `None` for no limit."""

    hard: float | None
    soft: float | None

    @classmethod
    def of(cls, task: Task[..., Any], message: TaskMessage) -> Limits:
        """What the call says goes before what the task says, and that before the settings."""
        settings = conf.current()
        return cls(
            hard=message.time_limit or task.time_limit or settings.TASK_TIME_LIMIT,
            soft=message.soft_time_limit or task.soft_time_limit or settings.TASK_SOFT_TIME_LIMIT,
        )


class SoftLimit(ABC):
    """Raises `SoftTimeLimitExceeded` in the block of `with soft_limit.after(seconds):` when they have passed."""

    @abstractmethod
    def after(self, seconds: float) -> contextlib.AbstractContextManager[None]: ...


class AlarmLimit(SoftLimit):
    """For the main thread."""

    def __init__(self) -> None:
        self.armed = False

    @contextlib.contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        signal.signal(signal.SIGALRM, self._raise)
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            # First, so that an alarm which rings right now finds nobody to interrupt.
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _raise(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            raise SoftTimeLimitExceeded("The soft time limit has passed.")


class ThreadLimit(SoftLimit):
    """For any other thread; one watcher serves all threads of a process, and is started by the first limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, int]] = []
        self._numbers = itertools.count()
        self._armed: dict[int, int] = {}
        self._watcher = Loop(self._turn, name="soft limits", interval=1.0)

    @contextlib.contextmanager
    def after(self, seconds: float) -> Iterator[None]:
        thread = threading.get_ident()
        with self._lock:
            number = next(self._numbers)
            self._armed[number] = thread
            heapq.heappush(self._due, (clock.monotonic() + seconds, number, thread))
            if len(self._due) > 2 * len(self._armed) + 100:  # most of it is of bodies that ended in time
                self._due = sorted(entry for entry in self._due if entry[1] in self._armed)
            if self._watcher.thread is None:
                self._watcher.start()
        self._watcher.wakeup.ring()
        try:
            yield
        finally:
            with self._lock:
                if self._armed.pop(number, None) is None:
                    _raise_in(
                        thread, None
                    )  # raised, perhaps not delivered yet: it must not hit the next task

    def _turn(self) -> float:
        with self._lock:
            while self._due and self._due[0][0] <= clock.monotonic():
                _, number, thread = heapq.heappop(self._due)
                if self._armed.pop(number, None) is not None:
                    _raise_in(thread, SoftTimeLimitExceeded)
            return max(0.001, self._due[0][0] - clock.monotonic()) if self._due else 60.0


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have `kind` raised in a thread, or with `None` not raised after all (C API: PyThreadState_SetAsyncExc)."""
    exception = ctypes.py_object(kind) if kind is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
