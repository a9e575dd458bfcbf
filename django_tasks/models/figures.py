"""Figures: what ended, in numbers; and how long things took, so that many of them fit into a line.

Figures of two minutes, two queues or two tasks can be added up. Percentiles cannot, which is why spans are counted in
buckets, each twice as wide as the one before it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from django_tasks import states

#: Under 1 ms, under 2 ms, under 4 ms, … under 4 h 40 min; and whatever is longer.
BUCKETS = 26
#: Seconds below which the spans of each bucket are; the last one has no such limit.
LIMITS: tuple[float, ...] = tuple(2**bucket / 1000 for bucket in range(BUCKETS - 1))

_MILLISECOND = dt.timedelta(milliseconds=1)
_MICROSECOND = dt.timedelta(microseconds=1)
_NO_TIME = dt.timedelta()


class Spans:
    """How long many things took: how many there were, their sum, and a histogram."""

    __slots__ = ("buckets", "total")

    def __init__(self, total: int = 0, buckets: Sequence[int] = ()) -> None:
        #: Microseconds.
        self.total = total
        self.buckets = list(buckets) or [0] * BUCKETS

    @classmethod
    def read(cls, total: int, text: str) -> Self:
        """What `text` wrote. Of what somebody else wrote into the column nothing is believed."""
        try:
            buckets = json.loads(text)
        except ValueError:
            return cls(total)
        is_ours = isinstance(buckets, list) and len(buckets) == BUCKETS
        return cls(total, buckets) if is_ours else cls(total)

    @property
    def text(self) -> str:
        return json.dumps(self.buckets, separators=(",", ":"))

    def count(self, span: dt.timedelta) -> None:
        """One more. Clocks of two machines may disagree a little: nothing takes less than no time."""
        span = max(span, _NO_TIME)
        self.total += span // _MICROSECOND
        self.buckets[min((span // _MILLISECOND).bit_length(), BUCKETS - 1)] += 1

    def add(self, other: Spans) -> None:
        self.total += other.total
        self.buckets = [mine + more for mine, more in zip(self.buckets, other.buckets, strict=True)]

    @property
    def number(self) -> int:
        return sum(self.buckets)

    @property
    def seconds(self) -> float:
        """All of them together."""
        return self.total / 1_000_000

    def percentile(self, percent: float) -> dt.timedelta | None:
        """What so many percent of them did not exceed; `None` if there are none.

        Within its bucket it is reckoned as if they were spread evenly, so it is wrong by less than a factor of two.
        Of what is longer than the last limit only the limit is known.
        """
        rank = self.number * percent / 100
        if not rank:
            return None
        below = 0
        for bucket, number in enumerate(self.buckets):
            if number and below + number >= rank:
                return dt.timedelta(seconds=_within(bucket, (rank - below) / number))
            below += number
        raise AssertionError("a rank is at most the number of spans")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and (self.total, self.buckets) == (other.total, other.buckets)

    __hash__ = None  # type: ignore[assignment] # it grows

    def __repr__(self) -> str:
        return f"Spans({self.total}, {self.buckets})"


def _within(bucket: int, share: float) -> float:
    """Seconds."""
    if bucket == BUCKETS - 1:
        return LIMITS[-1]
    lower = LIMITS[bucket - 1] if bucket else 0.0
    return lower + (LIMITS[bucket] - lower) * share


@dataclass(slots=True, kw_only=True)
class Figures:
    """What ended: how, and how long it took. It grows as ends are counted."""

    succeeded: int = 0
    failed: int = 0
    #: Ended in neither way: revoked, or ignored by its own body.
    others: int = 0
    #: Runs that asked for another one before the end.
    retries: int = 0
    run_time: Spans = field(default_factory=Spans)
    #: From being sent to the first run: what waited for a second one is left out, as that is no fault of a queue.
    wait: Spans = field(default_factory=Spans)

    @classmethod
    def sum(cls, several: Iterable[Figures]) -> Figures:
        total = cls()
        for figures in several:
            total.add(figures)
        return total

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.others

    @property
    def failing(self) -> float | None:
        """The share that failed, of those that ran to an end: 0 to 1."""
        ran = self.succeeded + self.failed
        return self.failed / ran if ran else None

    def count(
        self,
        status: str,
        retries: int,
        created_at: dt.datetime,
        started_at: dt.datetime | None,
        finished_at: dt.datetime,
    ) -> None:
        """One task that ended."""
        if status == states.SUCCESS:
            self.succeeded += 1
        elif status == states.FAILURE:
            self.failed += 1
        else:
            self.others += 1
        self.retries += retries
        if started_at is not None:
            self.run_time.count(finished_at - started_at)
            if not retries:
                self.wait.count(started_at - created_at)

    def add(self, other: Figures) -> None:
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.others += other.others
        self.retries += other.retries
        self.run_time.add(other.run_time)
        self.wait.add(other.wait)
