"""Tables that commands write, and the cells of queues that are the same in all of them."""

from __future__ import annotations

from collections.abc import Sequence

from django_tasks.dispatch.depths import Depth


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in lines]


def ready(queue: Depth) -> str:
    return "?" if queue.ready is None else str(queue.ready)


def paused(queue: Depth) -> str:
    return (queue.reason or "yes") if queue.is_paused else ""
