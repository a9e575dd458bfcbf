"""When a coroutine looks again: it cannot listen to the database, so it asks at a growing interval."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from django_tasks import clock

#: Seconds between the looks at first, and the most they grow to.
SHORTEST, LONGEST = 0.02, 0.5


async def moments(timeout: float | None, interval: float | None) -> AsyncIterator[None]:
    """Now, and whenever it is time to look again; the last time when `timeout` seconds are over."""
    ends = None if timeout is None else clock.monotonic() + timeout
    pause = interval or SHORTEST
    yield
    while (left := pause if ends is None else ends - clock.monotonic()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = interval or min(pause * 1.5, LONGEST)
        yield
