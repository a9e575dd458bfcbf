"""What tasks print goes into the log, line by line, each with the task that printed it.

Only what is printed inside a task's body is caught: what other threads and the process itself write stays what it was.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TextIO

from django_tasks.definition.logger import PARENT, about_run
from django_tasks.definition.request import Context, sender


@contextlib.contextmanager
def in_log() -> Iterator[None]:
    """Inside of the block, `sys.stdout` and `sys.stderr` of running tasks are the log, at level WARNING."""
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Caught("stdout", stdout), Caught("stderr", stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr


def end_line() -> None:
    """Log what the running task printed without a line's end; called when it ends."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Caught) and stream.has_rest():
            stream.flush()


class Caught:
    """A text stream: inside of a task the log, else `original`. Each thread and coroutine has a line of its own."""

    def __init__(self, name: str, original: TextIO) -> None:
        self.original = original
        self.logger = logging.getLogger(f"{PARENT}.{name}")
        self._line: ContextVar[str] = ContextVar(f"django_tasks_{name}", default="")
        # A log that ends on this stream (logging's last resort does) would be its own input.
        self._logging = threading.local()

    def write(self, text: str) -> int:
        run = self._run()
        if run is None:
            return self.original.write(text)
        *lines, rest = (self._line.get() + text).split("\n")
        self._line.set(rest)
        for line in lines:
            self._log(line, run)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def has_rest(self) -> bool:
        """Did the running task print something after its last whole line?"""
        return bool(self._line.get())

    def flush(self) -> None:
        run = self._run()
        if run is None:
            self.original.flush()
        elif rest := self._line.get():
            self._line.set("")
            self._log(rest, run)

    def isatty(self) -> bool:
        return self._run() is None and self.original.isatty()

    def _run(self) -> Context | None:
        return None if getattr(self._logging, "now", False) else sender()

    def _log(self, line: str, run: Context) -> None:
        if not line.strip():
            return
        self._logging.now = True
        try:
            self.logger.warning("%s", line, extra=about_run(run))
        finally:
            self._logging.now = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)
