"""How many rows go into one INSERT."""

from __future__ import annotations

from collections.abc import Iterable

MOST_ROWS = 500
#: Characters. In UTF-8 at most four times as many bytes, which is what MariaDB takes in one statement by default.
MOST_TEXT = 4_000_000


def batch_size(texts: Iterable[str]) -> int:
    """The number of rows of which each holds one of these texts: less if some are long."""
    longest = max(map(len, texts), default=0)
    return max(1, min(MOST_ROWS, MOST_TEXT // (longest or 1)))
