"""Charts as SVG: from values to markup, and nothing else.

They are drawn on the server, so they are there without JavaScript, and under a strict CSP, as nothing in them is a
style: colours are classes, which static/django_tasks/admin.css has for light and for dark. Each has a title and a
description for those who do not see it, and each bar says its own numbers in a tooltip. Texts stand beside the drawing
and not in it, as it is stretched to the width that there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Units of a drawing: how high it is, how far bars are from each other, and how wide one is.
HEIGHT = 100
STEP, WIDTH = 10, 8
#: What is more than nothing can be seen, however much there is elsewhere.
LEAST = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: parts of it, from the bottom up, each with its tone (good, bad, busy, warn or idle)."""

    #: Told when somebody points at it.
    label: StrOrPromise
    parts: Sequence[tuple[str, float]]
    #: The one that a page is about: it has a frame.
    is_marked: bool = False

    @property
    def total(self) -> float:
        return sum(value for _, value in self.parts)


def bars(
    several: Sequence[Bar], *, title: StrOrPromise, description: StrOrPromise, classes: str = "tasks-chart"
) -> SafeString:
    """Bars beside each other; the highest one is as high as the drawing."""
    most = max((bar.total for bar in several), default=0)
    drawn = [(_bar(bar, number * STEP, most),) for number, bar in enumerate(several)]
    return _drawing(
        format_html_join("", "{}", drawn),
        width=max(len(several), 1) * STEP,
        title=title,
        description=description,
        classes=classes,
    )


def sparkline(values: Sequence[float], *, title: StrOrPromise, tone: str = "busy") -> SafeString:
    """A course in the height of a line, as bars; what they are is told for all of them together."""
    several = [Bar(label="", parts=((tone, value),)) for value in values]
    return bars(several, title=title, description="", classes="tasks-sparkline")


def histogram(
    counts: Sequence[int], labels: Sequence[StrOrPromise], *, title: StrOrPromise, description: StrOrPromise
) -> SafeString:
    """How many fell into each bucket; buckets before the first and after the last that has any are left out."""
    used = [bucket for bucket, count in enumerate(counts) if count]
    shown = range(used[0], used[-1] + 1) if used else range(0)
    several = [Bar(label=labels[bucket], parts=(("busy", counts[bucket]),)) for bucket in shown]
    return bars(several, title=title, description=description)


def _bar(bar: Bar, x: int, most: float) -> SafeString:
    pieces, top = [], float(HEIGHT)
    for tone, value in bar.parts:
        if value > 0:
            height = max(value / most * HEIGHT, LEAST)
            top = max(top - height, 0)
            pieces.append((tone, x + (STEP - WIDTH) // 2, _number(top), WIDTH, _number(min(height, HEIGHT))))
    rects = format_html_join(
        "", '<rect class="tasks-fill-{}" x="{}" y="{}" width="{}" height="{}"></rect>', pieces
    )
    if not bar.label:
        return rects
    # The whole column is pointed at, however low its bar.
    column = format_html(
        '<rect class="tasks-column{}" x="{}" width="{}" height="{}"></rect>',
        " tasks-marked" if bar.is_marked else "",
        x,
        STEP,
        HEIGHT,
    )
    return format_html("<g><title>{}</title>{}{}</g>", bar.label, column, rects)


def _drawing(
    inner: SafeString, *, width: int, title: StrOrPromise, description: StrOrPromise, classes: str
) -> SafeString:
    # The id is of what is said, so that a drawing that has not changed is the same text.
    id = f"tasks-{crc32(f'{classes} {title} {description}'.encode()):08x}"
    told = format_html('<title id="{}-title">{}</title>', id, title)
    named = f"{id}-title"
    if description:
        told = format_html('{}<desc id="{}-desc">{}</desc>', told, id, description)
        named = f"{id}-title {id}-desc"
    return format_html(
        '<svg class="{}" role="img" aria-labelledby="{}" viewBox="0 0 {} {}" preserveAspectRatio="none"'
        ' focusable="false">{}{}</svg>',
        classes,
        named,
        width,
        HEIGHT,
        told,
        inner,
    )


def _number(value: float) -> str:
    """Not as the user's language writes it: SVG knows the point only."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
