"""Rate limits: how often the bodies of one task begin in one worker, whatever the number of its processes.

The table is memory that the processes share. Starts are spread evenly: after one, the next may come `1 / rate` seconds
later. A task whose start is near is kept by its process until then; one whose start is far goes back to its queue,
parked until shortly before. So nobody waits behind it, and nothing is polled.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import mmap
import os
import struct
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django_tasks import clock, conf
from django_tasks.definition.rates import per_second
from django_tasks.definition.task import Task

#: Seconds until a start that is waited for in the process itself.
NEAR: Final = 1.5
#: Seconds before its start that a parked task is back in its queue; the relay may take one of them.
EARLY: Final = 1.25
#: The most tasks with a rate limit; those after them run unlimited.
MOST_TASKS: Final = 512

_ENTRY = struct.Struct(
    "=16sddd"
)  # digest of the name, next start, start of the next parked one, rate set at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """When a body may begin, in monotonic seconds; if that is far, only about then, and it must ask again."""

    at: float
    is_far: bool


class RateLimits:
    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MOST_TASKS * _ENTRY.size)
        # A file without a name. Record locks belong to a process, and end with it however it ends.
        self._file, path = tempfile.mkstemp(prefix="django_tasks_")
        os.unlink(path)
        weakref.finalize(self, os.close, self._file)

    def next_start(self, task: Task[..., Any]) -> Start | None:
        """When a run of the task that is here now may begin; `None` if there is no limit."""
        settings = conf.current()
        said = settings.TASK_DEFAULT_RATE_LIMIT if task.rate_limit is None else task.rate_limit
        if settings.WORKER_DISABLE_RATE_LIMITS or (said is None and not self._any_set()):
            return None
        rate = per_second(said)
        with self._locked(), contextlib.suppress(_TableFull):
            return self._reserve(task.name, rate)
        return None

    def set(self, task: str, rate: str | float | None) -> None:
        """From now on, this is the rate of a task in this worker; `None` is no limit."""
        with self._locked(), contextlib.suppress(_TableFull):
            at, (digest, start, parked, _) = self._find(task)
            _ENTRY.pack_into(self._memory, at, digest, start, parked, per_second(rate) or math.inf)
            self._memory[-1] |= 1

    def _any_set(self) -> bool:
        return bool(self._memory[-1] & 1)

    def _reserve(self, name: str, rate: float | None) -> Start | None:
        at, (digest, start, parked, override) = self._find(name)
        rate = override or rate
        if not rate or math.isinf(rate):
            return None
        now = clock.monotonic()
        start = max(start, now)
        if start - now <= NEAR:
            _ENTRY.pack_into(self._memory, at, digest, start + 1 / rate, parked, override)
            return Start(at=start, is_far=False)
        parked = max(parked, start)
        _ENTRY.pack_into(self._memory, at, digest, start, parked + 1 / rate, override)
        return Start(at=parked, is_far=True)

    def _find(self, name: str) -> tuple[int, tuple[bytes, float, float, float]]:
        """The place of a task's entry, new if need be, and what stands there."""
        digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
        first = int.from_bytes(digest[:4], "big")
        for step in range(MOST_TASKS - 1):
            at = (first + step) % (MOST_TASKS - 1) * _ENTRY.size
            entry = _ENTRY.unpack_from(self._memory, at)
            if entry[0] == digest:
                return at, entry
            if not any(entry[0]):
                return at, (digest, 0.0, 0.0, 0.0)
        raise _TableFull

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


class _TableFull(Exception):
    """More tasks have a rate limit than the table has room for."""
