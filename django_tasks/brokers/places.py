"""Where to begin to look for the next messages of a queue, when its beginning is full of the dead.

PostgreSQL keeps what was deleted as long as any open snapshot might see it, and a look passes over all of that on its
way to what is alive. If looks are slow for that reason they begin where the last one found its first message, for ten
times as long as a look from the very beginning takes: that costs a tenth of the time, whatever lies there. What comes
to stand before the place meanwhile (more urgent, handed back, committed late) waits until then, `LONGEST` at the most.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from django_tasks import clock
from django_tasks.models.queue import Place, QueuedMessageQuerySet

#: Seconds from which a look is slow; only then is it asked why.
SLOW = 0.02
#: Deleted rows, about, from which they are why.
MANY_DEAD = 5_000
#: How much longer a place is kept than the look took that found it, and how long at the most, in seconds.
KEPT_TIMES, LONGEST = 10, 5.0


class Places:
    """Of one consumer."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        #: The keys of the messages that the look under way has found first.
        self._first: dict[str, int] = {}
        self._kept_until = float("-inf")
        #: Does the look under way begin at the places?
        self.are_kept = False
        #: Was the latest look from the very beginning slow, for the dead that lie there?
        self.are_needed = False
        #: Seconds from the latest look, if it was from the places, until one from the beginning is to follow.
        self.patience = math.inf

    @contextlib.contextmanager
    def look(self, rows: QueuedMessageQuerySet) -> Iterator[None]:
        """Around one look into all queues."""
        began = clock.monotonic()
        self.are_kept = began < self._kept_until
        self.patience = self._kept_until - began if self.are_kept else math.inf
        try:
            yield
            took = clock.monotonic() - began
            if not self.are_kept:
                self.are_needed = took > SLOW and rows.dead() > MANY_DEAD
                self._places.clear()
                if self.are_needed:
                    self._kept_until = began + took + min(KEPT_TIMES * took, LONGEST)
            if began < self._kept_until and self._first:  # most looks are quick, and need not know
                self._places.update(rows.places(self._first.values()))
        finally:
            self.are_kept = False
            self._first.clear()

    def of(self, queue: str) -> Place | None:
        """Where to begin; `None` is the very beginning."""
        return self._places.get(queue) if self.are_kept else None

    def found(self, queue: str, first: int) -> None:
        self._first[queue] = first
