"""Whether a worker is to end, and whether it does: memory shared by its processes."""

from __future__ import annotations

import mmap
from typing import Final

_WANTED: Final = 0
_BEGUN: Final = 1


class Ending:
    """A byte for each; both only ever become true, so nothing is locked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2)

    def want(self) -> None:
        """Have the worker take nothing more, and end when what it runs has ended, however long that takes."""
        self._memory[_WANTED] = True

    @property
    def is_wanted(self) -> bool:
        return bool(self._memory[_WANTED])

    def begin(self) -> None:
        """Say that it takes nothing more."""
        self._memory[_BEGUN] = True

    @property
    def has_begun(self) -> bool:
        return bool(self._memory[_BEGUN])
