"""How tasks do: all of them beside each other, and one by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks.models import TaskResult
from django_tasks.models.figures import Figures
from django_tasks.overview.course import Period, period
from django_tasks.overview.performance import (
    PERIODS,
    TaskCourse,
    TaskPerformance,
    performance,
    task_course,
)

from . import courses, links, numbers, times
from .pages import Page

#: So much longer or shorter than before is worth a word.
NOTABLE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number beside the one of the time before: `tone` says whether it got better."""

    text: str
    change: str = ""
    tone: str = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """A task, as its line shows it."""

    task: str
    url: str
    count: Value
    failing: Value
    #: Percentiles of the run time, and one of the wait.
    spans: Sequence[Value]
    share: str
    percent: int


class PerformancePage(Page):
    """Tasks by the time they take; with `?task=`, one of them."""

    key = "performance"
    title = gettext_lazy("Performance")
    template = "admin/django_tasks/performance.html"

    def context(self, request: HttpRequest) -> dict[str, Any]:
        return {"performance": Performance(request, self)}


class Performance:
    """What the templates ask for."""

    def __init__(self, request: HttpRequest, page: PerformancePage) -> None:
        self.page = page
        self.task = request.GET.get("task", "").replace("\x00", "")
        self.period: Period = period(request.GET.get("period", ""), PERIODS)

    @property
    def periods(self) -> list[tuple[Period, str]]:
        """Each with its address."""
        return [(one, self._url(one, self.task)) for one in PERIODS]

    @property
    def home(self) -> str:
        return self._url(self.period, "")

    def _url(self, period: Period, task: str) -> str:
        query = {"period": period.key, **({"task": task} if task else {})}
        return f"{self.page.home()}?{urlencode(query)}"

    @cached_property
    def lines(self) -> list[TaskLine]:
        return [self._line(one) for one in performance(self.period)]

    def _line(self, one: TaskPerformance) -> TaskLine:
        return TaskLine(
            task=one.task,
            url=self._url(self.period, one.task),
            share=_percent(one.share),
            percent=round(one.share * 100),
            **_compared(one.now, one.before, one.elapsed),
        )

    # -- one task

    @cached_property
    def course(self) -> TaskCourse:
        return task_course(self.task, self.period)

    @cached_property
    def line(self) -> dict[str, Any]:
        return _compared(self.course.now, self.course.before, self.course.elapsed)

    @property
    def throughput(self) -> courses.Chart:
        return courses.throughput(self.period, self.course.spans, title=_("Runs that ended"))

    @property
    def run_times(self) -> courses.Chart:
        return courses.histogram(self.course.now.run_time, title=_("Run times"))

    @property
    def waits(self) -> courses.Chart:
        return courses.histogram(self.course.now.wait, title=_("Waits"))

    @property
    def list_url(self) -> str:
        return links.url_of_list(self.page.site, TaskResult, task=self.task)


def _compared(now: Figures, before: Figures, elapsed: float) -> dict[str, Any]:
    spans = [
        _longer(now.run_time.percentile(percent), before.run_time.percentile(percent))
        for percent in (50, 95, 99)
    ]
    return {
        "count": _more(now.ended, before.ended * elapsed),
        "failing": _failing(now, before),
        "spans": [*spans, _longer(now.wait.percentile(95), before.wait.percentile(95))],
    }


def _more(now: int, before: float) -> Value:
    """More is neither better nor worse. `before` is what there would be by now if all were as it was."""
    return Value(text=numbers.told(now), change=_change(now, before))


def _failing(now: Figures, before: Figures) -> Value:
    share, earlier = now.failing or 0.0, before.failing
    tone = "bad" if now.failed else "idle"
    if now.failing is None:
        return Value(text=times.NOTHING)
    if earlier is None or abs(share - earlier) < 0.001:
        return Value(text=_percent(share), tone=tone)
    return Value(text=_percent(share), change=_("was %s") % _percent(earlier), tone=tone)


def _longer(now: dt.timedelta | None, before: dt.timedelta | None) -> Value:
    if now is None or before is None:
        return Value(text=times.span(now))
    change = _change(now.total_seconds(), before.total_seconds())
    tone = "idle" if not change else "bad" if now > before else "good"
    return Value(text=times.span(now), change=change, tone=tone)


def _change(now: float, before: float) -> str:
    """In percent; nothing where there was nothing before, or where it is about the same."""
    if not before or abs(now - before) < before * NOTABLE:
        return ""
    percent = round((now - before) / before * 100)
    return f"{'+' if percent > 0 else '−'}{abs(percent)} %"  # noqa: RUF001 - a minus


def _percent(share: float) -> str:
    return _("%s %%") % number_format(share * 100, decimal_pos=1, use_l10n=True)
