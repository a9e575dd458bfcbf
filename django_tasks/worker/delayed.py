"""Claimed tasks whose rate limit lets them begin a little later, or much later."""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
from collections.abc import Sequence

from django_tasks import clock, registry
from django_tasks.exceptions import NotRegistered
from django_tasks.execution.outcome import Request

from .rate_limits import EARLY, RateLimits, Start


class Delayed:
    """Sorts requests by when they may begin: at once, soon (kept here), or late (to be parked)."""

    def __init__(self, rate_limits: RateLimits) -> None:
        self.rate_limits = rate_limits
        self._soon: list[tuple[float, int, Request]] = []
        self._numbers = itertools.count()
        #: To be parked until the moment, which is shortly before they may begin.
        self.late: list[tuple[Request, dt.datetime]] = []

    def __len__(self) -> int:
        return len(self._soon) + len(self.late)

    def admit(self, requests: Sequence[Request]) -> list[Request]:
        """Keep what may not begin yet, and answer what may."""
        now = clock.monotonic()
        free = []
        for request in requests:
            start = self._start(request)
            if start is None or (not start.is_far and start.at <= now):
                free.append(request)
            elif start.is_far:
                back = clock.now() + dt.timedelta(seconds=max(0.0, start.at - now - EARLY))
                self.late.append((request, back))
            else:
                heapq.heappush(self._soon, (start.at, next(self._numbers), request))
        return free

    def _start(self, request: Request) -> Start | None:
        try:
            return self.rate_limits.next_start(registry.find(request.message.task))
        except NotRegistered:
            return None  # it will fail at once

    def ripe(self) -> list[Request]:
        """What was kept and may begin now."""
        found = []
        while self._soon and self._soon[0][0] <= clock.monotonic():
            found.append(heapq.heappop(self._soon)[2])
        return found

    def next_ripe(self) -> float:
        """Seconds until something kept here may begin."""
        return max(0.0, self._soon[0][0] - clock.monotonic()) if self._soon else float("inf")

    def all(self) -> list[Request]:
        return [request for _, _, request in self._soon] + [request for request, _ in self.late]

    def clear(self) -> None:
        self._soon.clear()
        self.late.clear()
