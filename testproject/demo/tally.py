"""The sums: what was posted, what is stored and what the spam filter was asked must agree. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .posts import Fate, Post

#: How the view answers a comment it took, and one it refused and rolled back.
TAKEN, REFUSED = 302, 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row of TaskResult."""

    comment_id: int
    status: str
    spam: bool | None
    why: str
    sent: dt.datetime
    started: dt.datetime | None
    finished: dt.datetime | None


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Everything that is known after the demo: from the visitors, from the database, from the spam filter."""

    #: HTTP status each post was answered with.
    answers: Mapping[Post, int]
    #: Text of each stored comment, by its id.
    comments: Mapping[int, str]
    #: Ids of the comments marked as spam.
    marked: frozenset[int]
    runs: Sequence[Run]
    #: How often the spam filter was asked about a text.
    checks: Mapping[str, int]

    @cached_property
    def sent(self) -> int:
        return len(self.answers)

    @cached_property
    def rolled_back(self) -> int:
        return sum(status == REFUSED for status in self.answers.values())

    @cached_property
    def spam(self) -> int:
        return sum(run.status == "SUCCESS" and run.spam is True for run in self.runs)

    @cached_property
    def ham(self) -> int:
        return sum(run.status == "SUCCESS" and run.spam is False for run in self.runs)

    @cached_property
    def reasons(self) -> Counter[str]:
        """Why tasks failed, and how many for each reason."""
        return Counter(run.why for run in self.runs if run.status == "FAILURE")

    @cached_property
    def failed(self) -> int:
        return self.reasons.total()

    @cached_property
    def seconds(self) -> float:
        """From the first task sent to the last one finished."""
        ends = [run.finished for run in self.runs if run.finished]
        return (max(ends) - min(run.sent for run in self.runs)).total_seconds() if ends else 0.0

    @cached_property
    def latencies(self) -> list[float]:
        """Seconds from sent to started, the shortest first."""
        return sorted((run.started - run.sent).total_seconds() for run in self.runs if run.started)

    def latency(self, percent: int) -> float:
        """The seconds within which so many percent of the tasks had started."""
        return percentile(self.latencies, percent)

    def problems(self) -> list[str]:
        """What does not add up, one sentence each; nothing if all does."""
        return [*self._answers(), *self._rows(), *self._outcomes(), *self._once_each()]

    def _answers(self) -> Iterator[str]:
        for status, count in Counter(self.answers.values()).items():
            if status not in (TAKEN, REFUSED):
                yield f"{count} posts were answered with HTTP {status} instead of {TAKEN} or {REFUSED}."
        planned = sum(post.fate is Fate.ROLLED_BACK for post in self.answers)
        if self.rolled_back != planned:
            yield f"{self.rolled_back} comments were rolled back, not the {planned} of blocked authors."

    def _rows(self) -> Iterator[str]:
        left = self.sent - self.rolled_back
        if len(self.comments) != left:
            yield f"{len(self.comments)} comments are stored, not {self.sent} - {self.rolled_back} = {left}."
        if len(self.runs) != left:
            yield f"{len(self.runs)} tasks are stored, not {self.sent} - {self.rolled_back} = {left}."
        ended = self.spam + self.ham + self.failed
        if ended != len(self.runs):
            others = Counter(run.status for run in self.runs if run.status not in ("SUCCESS", "FAILURE"))
            yield f"{ended} of {len(self.runs)} tasks are spam, ham or failed; the others: {dict(others)}."

    def _outcomes(self) -> Iterator[str]:
        for fate, count in ((Fate.SPAM, self.spam), (Fate.HAM, self.ham), (Fate.FAILED, self.failed)):
            planned = sum(post.fate is fate for post in self.answers)
            if count != planned:
                yield f"{count} comments were found to be {fate}, not the {planned} that were posted."
        told = {run.comment_id for run in self.runs if run.spam}
        if told != self.marked:
            yield f"{len(told ^ self.marked)} comments are marked otherwise than their task said."

    def _once_each(self) -> Iterator[str]:
        if Counter(run.comment_id for run in self.runs) != Counter(self.comments.keys()):
            yield "There is not exactly one task for each stored comment."
        if Counter(self.checks) != Counter(self.comments.values()):
            wrong = Counter(self.checks)
            wrong.subtract(Counter(self.comments.values()))
            again, never = sum(n > 0 for n in wrong.values()), sum(n < 0 for n in wrong.values())
            yield f"{again} texts were checked too often and {never} too seldom; each stored one is due once."


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The nearest rank: the smallest value that `percent` of all don't exceed. NaN if there are none.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 95)
    (2.0, 4.0)
    """
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
