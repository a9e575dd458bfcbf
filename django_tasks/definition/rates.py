"""How often: `"100/m"` as a number (Celery's notation)."""

from __future__ import annotations

import math

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def per_second(rate: str | float | None) -> float | None:
    """Runs per second; `None` without a limit. A number is per second.

    Raises `ValueError` for anything else.

    >>> per_second("30/m"), per_second(2), per_second("7/h") == 7 / 3600, per_second(None)
    (0.5, 2.0, True, None)
    """
    if rate is None:
        return None
    number, _, unit = str(rate).partition("/")
    try:
        found = float(number) / _SECONDS[unit.strip() or "s"]
    except (ValueError, KeyError):
        found = math.nan
    if not 0 <= found < math.inf:
        raise ValueError(f"A rate limit is a number per second or like '10/s', '100/m', '5/h'; not {rate!r}.")
    return found or None
