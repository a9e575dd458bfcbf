"""How long to wait after the n-th failure in a row."""

from __future__ import annotations

import random


def delay(failures: int, *, first: float = 0.5, most: float = 30.0, jitter: bool = True) -> float:
    """Seconds before the next try: doubled each time, capped, and spread so that many do not return at once.

    >>> [delay(n, jitter=False) for n in (1, 2, 3, 10)]
    [0.5, 1.0, 2.0, 30.0]
    """
    span: float = min(most, first * 2 ** (min(failures, 32) - 1))
    return span * random.uniform(0.5, 1.0) if jitter else span
