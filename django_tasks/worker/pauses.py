"""Which of a worker's queues are paused: memory shared by its processes, written by its housekeeper."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Sequence
from typing import Final

#: Nobody has looked yet; such a queue may be paused.
_UNKNOWN: Final = 0
_OPEN: Final = 1
_PAUSED: Final = 2


class Pauses:
    """A byte for each queue. Each is true by itself, so nothing is locked."""

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = tuple(queues)
        self._memory = mmap.mmap(-1, len(self.queues) or 1)

    def set(self, paused: Collection[str]) -> list[str]:
        """Say which queues of all are paused; those of ours with which that is news."""
        news = []
        for place, queue in enumerate(self.queues):
            before, now = self._memory[place], _PAUSED if queue in paused else _OPEN
            if before != now:
                self._memory[place] = now
                if now == _PAUSED or before == _PAUSED:
                    news.append(queue)
        return news

    def is_paused(self, queue: str) -> bool:
        return queue in self.queues and self._memory[self.queues.index(queue)] == _PAUSED

    def open(self) -> tuple[str, ...] | None:
        """The queues to take from; `None` before anybody has looked."""
        flags = self._memory[: len(self.queues)]
        if _UNKNOWN in flags:
            return None
        return tuple(queue for queue, flag in zip(self.queues, flags, strict=True) if flag == _OPEN)
