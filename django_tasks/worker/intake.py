"""Intake: how many messages a process receives at a time, and which of them it keeps.

A process runs plain tasks, one per slot, and coroutines, many on its event loop. Their messages wait in the same
queues, and which kind one is shows only when it was received and read. So a process receives about as many as it is
likely to have room for, keeps what fits, and releases the rest in the same transaction, untouched and in its old place:
nothing is hoarded, and whoever has room takes it. What has no room is looked at now and then, not all the time: other
queues may have something that fits.
"""

from __future__ import annotations

import math

from django_tasks import clock

#: How much the last batch counts for what the next one is expected to be.
WEIGHT = 0.5
#: Seconds between looks while what was found did not fit. A look writes nothing and costs about a millisecond.
LOOK_AGAIN = 0.1


class Intake:
    """`expects_coroutines`: looks for them also while there is no room for anything else."""

    def __init__(self, *, expects_coroutines: bool) -> None:
        self.expects_coroutines = expects_coroutines
        #: The share of coroutines among the messages that came lately.
        self.share = 0.0
        #: For how many more of each kind there is room: coroutines, or not.
        self.room = {True: 0, False: 0}
        self._seen = {True: 0, False: 0}
        self._released = {True: -math.inf, False: -math.inf}

    def most(self, *, plain: int, coroutines: int) -> int:
        """How many messages to receive by one that has room for so many of each kind."""
        self._learn()
        self.room = {True: max(0, coroutines), False: max(0, plain)}
        if self.pause() > 0:
            return 0
        likely = math.ceil(self.share * self.room[True])
        at_least = 1 if self.expects_coroutines and self.room[True] else 0
        return max(self.room[False], likely, at_least)

    def takes(self, is_coroutine: bool) -> bool:
        """Is there room for this one? If not it is to be released."""
        self._seen[is_coroutine] += 1
        if not self.room[is_coroutine]:
            self._released[is_coroutine] = clock.monotonic()
            return False
        self.room[is_coroutine] -= 1
        return True

    def pause(self) -> float:
        """Seconds to wait because one was released a moment ago for which there still is no room."""
        full = [self._released[kind] for kind, room in self.room.items() if not room]
        return max(0.0, max(full, default=-math.inf) + LOOK_AGAIN - clock.monotonic())

    def _learn(self) -> None:
        if seen := sum(self._seen.values()):
            self.share += (self._seen[True] / seen - self.share) * WEIGHT
        self._seen = {True: 0, False: 0}
