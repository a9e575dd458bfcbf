"""When the housekeeper's loops last turned: memory shared by a worker's processes, written by its housekeeper.

The supervisor reads it and so knows that the housekeeper works, not just that it exists.
"""

from __future__ import annotations

import itertools
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from django_tasks import clock

#: More loops than a housekeeper has.
_PLACES = 32
_PLACE = struct.Struct("=ddB31p")  # the last turn, in monotonic time; seconds it may be silent; trouble; name
_TROUBLE = struct.Struct("=B")
_TROUBLE_AT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """A loop as it was when somebody looked: since when, in seconds, it has not turned, and how its last turn went."""

    name: str
    silent_for: float
    may_be_silent: float
    trouble: int

    @property
    def stands_still(self) -> bool:
        return self.silent_for > self.may_be_silent


class Pulses:
    """One place for each loop. Each has one writer, so nothing is locked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _PLACES * _PLACE.size)
        self._places = itertools.count()

    def clear(self) -> None:
        """A new housekeeper begins; the loops of the one before are gone."""
        self._memory[:] = bytes(len(self._memory))
        self._places = itertools.count()

    def enrol(self, name: str, may_be_silent: float) -> Beat:
        """Watch a loop from now on."""
        place = next(self._places)
        _PLACE.pack_into(
            self._memory, place * _PLACE.size, clock.monotonic(), may_be_silent, 0, name.encode()[:30]
        )
        return Beat(self._memory, place * _PLACE.size)

    def __iter__(self) -> Iterator[Pulse]:
        now = clock.monotonic()
        for turned, may_be_silent, trouble, name in _PLACE.iter_unpack(self._memory[:]):
            if name:
                yield Pulse(
                    name=name.decode(),
                    silent_for=now - turned,
                    may_be_silent=may_be_silent,
                    trouble=trouble,
                )


class Beat:
    """A loop's own place. Called after each turn, with the trouble that it ran into."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory = memory
        self._at = at

    def __call__(self, trouble: int = 0) -> None:
        struct.pack_into("=d", self._memory, self._at, clock.monotonic())
        _TROUBLE.pack_into(self._memory, self._at + _TROUBLE_AT, trouble)
