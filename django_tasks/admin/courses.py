"""The course of things as a chart, with what stands beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks.models.ends import Span
from django_tasks.models.figures import LIMITS, Figures, Spans
from django_tasks.overview.course import Period

from . import charts, numbers, times

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, and the texts at its corners."""

    drawing: SafeString
    first: str
    last: str
    most: str
    #: What it comes to, in a sentence, where that is not said elsewhere on the page.
    told: str = ""


def throughput(period: Period, spans: Sequence[tuple[dt.datetime, Figures]], *, title: StrOrPromise) -> Chart:
    """How many tasks ended in each span, and how many of them in failure."""
    several = [
        charts.Bar(
            label=_("%(time)s: %(succeeded)s succeeded, %(failed)s failed")
            % {
                "time": moment(start, period.span),
                "succeeded": numbers.told(figures.succeeded),
                "failed": numbers.told(figures.failed),
            },
            parts=(("good", figures.succeeded), ("idle", figures.others), ("bad", figures.failed)),
        )
        for start, figures in spans
    ]
    total = Figures.sum(figures for _start, figures in spans)
    described = _("%(succeeded)s succeeded and %(failed)s failed; at most %(most)s ended in one span.") % {
        "succeeded": numbers.told(total.succeeded),
        "failed": numbers.told(total.failed),
        "most": numbers.told(_most(spans)),
    }
    return Chart(
        drawing=charts.bars(several, title=title, description=described),
        first=moment(spans[0][0], period.span),
        last=_("now"),
        most=numbers.told(_most(spans)),
    )


def histogram(spans: Spans, *, title: StrOrPromise) -> Chart:
    """How many took how long."""
    used = [bucket for bucket, count in enumerate(spans.buckets) if count]
    described = _("Half of them took no longer than %(half)s, and 95%% of them no longer than %(most)s.") % {
        "half": times.span(spans.percentile(50)),
        "most": times.span(spans.percentile(95)),
    }
    labels = [f"{limits(bucket)}: {numbers.told(count)}" for bucket, count in enumerate(spans.buckets)]
    return Chart(
        drawing=charts.histogram(spans.buckets, labels, title=title, description=described),
        first=limits(used[0]) if used else "",
        last=limits(used[-1]) if used else "",
        most=numbers.told(max(spans.buckets)),
    )


def percentiles(total: Figures) -> list[tuple[str, dt.timedelta]]:
    """How long what a chart shows ran and waited, as far as it did."""
    found = [
        (_("run time p50"), total.run_time.percentile(50)),
        (_("p95"), total.run_time.percentile(95)),
        (_("wait p95"), total.wait.percentile(95)),
    ]
    return [(label, span) for label, span in found if span is not None]


def of_day(hours: Sequence[int], queue: str) -> SafeString:
    """What ended of a queue in each of the last 24 hours, in the height of a line."""
    return charts.sparkline(hours, title=_("Tasks of %s that ended, by the hour") % queue)


def limits(bucket: int) -> str:
    """What falls into a bucket, in words."""
    if bucket == len(LIMITS):
        return _("over %s") % _span(LIMITS[-1])
    if bucket == 0:
        return _("under %s") % _span(LIMITS[0])
    return f"{_span(LIMITS[bucket - 1])} – {_span(LIMITS[bucket])}"  # noqa: RUF001 - from … to


def moment(start: dt.datetime, span: Span) -> str:
    """As exactly as spans of this length need it. Days are UTC's."""
    if span == Span.DAY:
        return date_format(start, "SHORT_DATE_FORMAT")
    return date_format(
        timezone.localtime(start), "TIME_FORMAT" if span == Span.MINUTE else "SHORT_DATETIME_FORMAT"
    )


def _most(spans: Sequence[tuple[dt.datetime, Figures]]) -> int:
    return max((figures.ended for _start, figures in spans), default=0)


def _span(seconds: float) -> str:
    return times.span(dt.timedelta(seconds=seconds))
