"""Retirement: a task process ends in peace and another takes its place.

That is when it has run many tasks or has grown large, and when others had given its worker up: a new process has a name
of its own, so that what the old one says of a task cannot be taken for what the new one has to say.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal

from .board import Seat
from .memory import resident
from .options import WorkerOptions

logger = logging.getLogger("django_tasks.worker")


class Retirement:
    """One task process's. Each runs a task at least, or one that is large from the start would do nothing at all."""

    def __init__(self, options: WorkerOptions, seat: Seat) -> None:
        self.seat = seat
        self.most_tasks = options.max_tasks_per_child or math.inf
        # One that has more than `max_memory` when its task has ended must begin no other: that would be killed for it.
        self.most_memory, self._limited_by = min(
            (options.max_memory_per_child or math.inf, "--max-memory-per-child"),
            (options.max_memory or math.inf, "--max-memory"),
        )
        self.has_begun = False

    def lets_begin(self) -> bool:
        """May another task begin here? How many may is seen to where they are claimed."""
        if self.seat.is_void:
            return False
        if self.most_memory == math.inf:
            return True
        memory = resident(os.getpid())
        is_first, self.has_begun = not self.has_begun, True
        if memory > self.most_memory and is_first and self.seat.serial == 1:
            # Told by the worker's first process only: what it has from the start, all others have.
            logger.warning(
                "A task process has %d kB before it runs anything, and is to be replaced when it has more than %d: "
                "each will run a single task. Raise %s",
                memory,
                self.most_memory,
                self._limited_by,
            )
        return is_first or memory <= self.most_memory

    def room(self, most: int, claimed: int) -> int:
        """How many more tasks may be claimed, up to `most`, by one that has so many claimed and not ended."""
        if self.most_tasks == math.inf:
            return most
        return int(min(most, self.most_tasks - self.seat.done - claimed))

    def is_due(self) -> bool:
        """Has this process done its part?"""
        if self.seat.is_void:
            return True
        if self.has_begun and resident(os.getpid()) > self.most_memory:
            return True
        return self.most_tasks < math.inf and self.seat.begun >= self.most_tasks

    def announce(self) -> None:
        """Have another take this process's place. The supervisor sleeps until a signal comes."""
        if not self.seat.retires:
            self.seat.retire()
            # With `--processes 0` there is none, but somebody's shell.
            with contextlib.suppress(PermissionError):
                os.kill(os.getppid(), signal.SIGCHLD)
