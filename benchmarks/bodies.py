"""The tasks that every system runs, and how it is seen when each was reached; imports nothing but Python's own.

All processes of a worker share one file of numbers, `BENCH_ARRIVALS`: the n-th is the time at which the first line of
task n was reached. To write one there costs less than a microsecond, and as much for every system.
"""

from __future__ import annotations

import array
import mmap
import os
import struct
import time
from pathlib import Path

CAPACITY = 2_000_000  # tasks; the file has holes, so what is not used takes no room
SIZE = 8
#: What `nap` takes, in seconds: two processes can do 2 / NAP of them in a second.
NAP = 0.01

_shared: mmap.mmap | None = None


def add(x: int, y: int, ballast: str = "") -> int:
    arrived(x)
    return x + y


def nap(x: int) -> None:
    arrived(x)
    time.sleep(NAP)


def arrived(number: int) -> None:
    struct.pack_into("d", _shared or _open(), SIZE * number, time.monotonic())


def _open() -> mmap.mmap:
    global _shared
    with Path(os.environ["BENCH_ARRIVALS"]).open("r+b") as file:
        _shared = mmap.mmap(file.fileno(), 0)
    return _shared


def make(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE * CAPACITY)


def times(path: Path, start: int, stop: int) -> array.array[float]:
    """When the tasks from `start` to before `stop` were reached, on the monotonic clock; 0 means not yet."""
    found = array.array("d")
    with path.open("rb") as file:
        file.seek(SIZE * start)
        found.fromfile(file, stop - start)
    return found
