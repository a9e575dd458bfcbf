"""What became of a task in the course of time, as a strip: where it waited, and where it ran."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks import clock, states
from django_tasks.models import TaskAttempt, TaskResult

from . import times

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: The strip's own units, and what a part has at least, so that it can be seen.
WIDTH, HEIGHT, LEAST = 1000, 22, 6

ENDINGS = {states.SUCCESS: "good", states.FAILURE: "bad", states.REVOKED: "idle", states.IGNORED: "idle"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A span of a task's life."""

    label: StrOrPromise
    #: Colour, as a badge has it; `None` for waiting.
    tone: str | None
    begin: dt.datetime
    end: dt.datetime

    @property
    def span(self) -> dt.timedelta:
        return max(self.end - self.begin, dt.timedelta())


def parts(row: TaskResult, attempts: Iterable[TaskAttempt], now: dt.datetime) -> list[Part]:
    """From being sent to the end, or to now: waiting and running in turn. Moments are as the database has them."""
    found: list[Part] = []
    last = row.created_at
    for begin, end, tone in _runs(row, attempts, now):
        if begin > last:
            found.append(Part(label=_("waited"), tone=None, begin=last, end=begin))
        found.append(Part(label=_("ran"), tone=tone, begin=begin, end=end))
        last = max(last, end)
    until = row.finished_at if row.is_final else now
    if until is not None and until > last:
        found.append(Part(label=_("waited"), tone=None, begin=last, end=until))
    return found


def _runs(
    row: TaskResult, attempts: Iterable[TaskAttempt], now: dt.datetime
) -> list[tuple[dt.datetime, dt.datetime, str]]:
    """Each run once: the last one is told by the row, and by an attempt as well if it did not simply succeed."""
    runs = {
        attempt.started_at: (
            attempt.finished_at,
            "bad" if attempt.ending == TaskAttempt.Ending.FAILURE else "warn",
        )
        for attempt in attempts
        if attempt.started_at is not None
    }
    if row.started_at is not None:
        if row.is_final and row.finished_at is not None:
            runs[row.started_at] = (row.finished_at, ENDINGS.get(row.status, "busy"))
        elif row.claimed_by is not None:
            runs[row.started_at] = (now, "busy")
    return [(begin, end, tone) for begin, (end, tone) in sorted(runs.items())]


def strip(found: Sequence[Part]) -> SafeString:
    """As SVG; what it shows is told in words as well."""
    if not found:
        return SafeString()
    words = ", ".join(f"{part.label} {times.span(part.span)}" for part in found)
    places = _places(found)
    drawn = (
        (
            f"tasks-{part.tone}" if part.tone else "tasks-waited",
            f"{left:.1f}",
            f"{width:.1f}",
            0 if part.tone else HEIGHT // 3,
            HEIGHT if part.tone else HEIGHT // 3,
            f"{part.label} {times.span(part.span)}",
        )
        for part, (left, width) in zip(found, places, strict=True)
    )
    rects = format_html_join(
        "",
        '<rect class="{}" x="{}" width="{}" y="{}" height="{}" fill="currentColor"><title>{}</title></rect>',
        drawn,
    )
    return format_html(
        '<svg class="tasks-strip" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>',
        words,
        WIDTH,
        HEIGHT,
        rects,
    )


def _places(found: Sequence[Part]) -> list[tuple[float, float]]:
    """Left edge and width of each: as long as it took, but never too narrow to be seen."""
    total = sum((part.span.total_seconds() for part in found), 0.0) or 1.0
    room = max(WIDTH - LEAST * len(found), 0)
    least = min(LEAST, WIDTH / len(found))
    places, left = [], 0.0
    for part in found:
        width = least + room * part.span.total_seconds() / total
        places.append((left, width))
        left += width
    return places


def of(row: TaskResult, attempts: Iterable[TaskAttempt]) -> SafeString:
    return strip(parts(row, attempts, clock.to_storage(clock.now())))
