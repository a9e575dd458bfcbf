"""How many tasks a process claims ahead: what it can run within about a second, and never more.

Short tasks are claimed by the hundred, so that a batch is paid for once; long ones one by one, so that none is hoarded
by a process that is busy while another is idle.
"""

from __future__ import annotations

#: Seconds of work to have at hand.
HORIZON = 1.0
#: The most claimed at once, however short the tasks; well under what the board remembers.
MOST = 512


class Lookahead:
    def __init__(self, slots: int, expected: float = 0.0) -> None:
        self.slots = slots
        #: Expected seconds per task. If unknown, taken as long until one has shown otherwise.
        self.expected = expected or HORIZON

    def learn(self, seconds: float) -> None:
        """A task took so long. Longer ones are believed sooner than shorter ones."""
        self.expected += (seconds - self.expected) * (0.5 if seconds > self.expected else 0.2)

    def room(self, outstanding: int, longest_running: float) -> int:
        """How many more to claim, having `outstanding` unfinished ones of which one runs for `longest_running` s."""
        target = self._target(max(self.expected, longest_running))
        # Below half, or with a slot idle: in between, claims would be many and small.
        if outstanding < self.slots or outstanding <= target // 2:
            return target - outstanding
        return 0

    def _target(self, expected: float) -> int:
        if expected >= HORIZON:
            return self.slots
        return max(self.slots, min(MOST, int(self.slots * HORIZON / max(expected, 1e-6))))
