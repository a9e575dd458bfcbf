"""Programs that the demo starts beside itself, and stops again whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


class DemoError(Exception):
    """Why the demo can't go on, for people."""


class Program:
    """`manage.py` with `arguments`, from `with` to its end. What it prints is kept to explain its death."""

    #: Seconds it may take to end when asked to.
    grace = 10.0

    def __init__(self, *arguments: str, name: str, environment: dict[str, str], loud: bool = False) -> None:
        self.name = name
        self.command = [sys.executable, str(MANAGE), *arguments]
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self.loud = loud

    def __enter__(self) -> Program:
        self.log = tempfile.TemporaryFile()
        # A session of its own: Ctrl-C reaches us alone, and we stop it in the right order.
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=None if self.loud else self.log,
            stderr=subprocess.STDOUT if not self.loud else None,
            start_new_session=True,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.process.terminate()
            self.process.wait(self.grace)
        except subprocess.TimeoutExpired:
            print(f"The {self.name} did not stop within {self.grace:g} s and was killed.", file=sys.stderr)
        finally:
            # Whatever is left of it, and of what it has started itself.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.log.close()

    def check(self) -> None:
        """Raise `DemoError` with its last words if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoError(f"The {self.name} ended with exit code {code}.{self.last_words()}")

    def last_words(self) -> str:
        """The end of what it has printed, indented, on lines of its own."""
        if self.loud:
            return ""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()[-20:]
        return "".join(f"\n    {line}" for line in lines)


def wait_until(ready: Callable[[], bool], check: Callable[[], None]) -> None:
    """Wait as long as `check` raises nothing. `time_limit` bounds it."""
    while not ready():
        check()
        time.sleep(0.05)


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `DemoError` in the main thread after so many seconds, wherever it stands."""

    def give_up(signum: int, frame: FrameType | None) -> None:
        raise DemoError(f"It was not done after {seconds} s. On a slow machine, give it more with --limit.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process the way Ctrl-C does, so that what it started is stopped."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
