"""What the processes of one worker share about events: whether those of tasks are wanted, and the clock."""

from __future__ import annotations

import mmap
import os
import struct
import threading

_TIMES = struct.Struct("=Q")
_WANTED_AT = 0
_CLOCK_AT = _TIMES.size
#: What a stranger's clock may say; more would not fit for long, and JavaScript counts no further.
LATEST = 2**53


class Shared:
    """Memory made before the fork. `places` is the number of processes that send events at a time."""

    def __init__(self, places: int) -> None:
        #: The worker's process id, by which monitors know it.
        self.pid = os.getpid()
        self._memory = mmap.mmap(-1, _CLOCK_AT + places * _TIMES.size)
        self.are_wanted = True

    @property
    def are_wanted(self) -> bool:
        """Are events of tasks to be sent?"""
        return bool(self._memory[_WANTED_AT])

    @are_wanted.setter
    def are_wanted(self, wanted: bool) -> None:
        self._memory[_WANTED_AT] = int(wanted)

    def clock(self, place: int) -> Clock:
        return Clock(self._memory, place)


class Clock:
    """Lamport's logical clock, by which monitors put the events of all processes in order.

    Each process writes in its own place and reads everybody's: it has always heard of all that happened before, and
    no lock is left behind by one that is killed.
    """

    def __init__(self, memory: mmap.mmap, place: int) -> None:
        self._memory = memory
        self._at = _CLOCK_AT + place * _TIMES.size
        self._ticking = threading.Lock()

    def tick(self) -> int:
        """The time of something that happens now: later than all that is known here."""
        return self.hear(0)

    def hear(self, time: object) -> int:
        """Note what another clock said; one that says nonsense is not believed."""
        heard = time if type(time) is int and 0 <= time < LATEST else 0
        with self._ticking:
            latest = max(known for (known,) in _TIMES.iter_unpack(self._memory[_CLOCK_AT:]))
            now = int(max(latest, heard)) + 1
            _TIMES.pack_into(self._memory, self._at, now)
            return now
