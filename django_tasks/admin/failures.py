"""The page of failures: not each of them, but what kinds there are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext

from django_tasks import clock, conf
from django_tasks.models import FailureGroup, TaskResult, counting
from django_tasks.models.counting import Count
from django_tasks.models.failure import FailureGroupQuerySet

from . import charts, links
from .actions import Action, Chosen
from .failure_deeds import FAILURE_DEEDS, TO_ALL_TASKS, tasks_of
from .pages import Page
from .task_choice import TaskChoice

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Kinds on one page.
MOST = 25
DAY = dt.timedelta(days=1)
#: What of the kinds is shown: parameters of the address, and what they are called.
SHOWN: Mapping[str, StrOrPromise] = {
    "open": gettext_lazy("Open"),
    "muted": gettext_lazy("Muted"),
    "all": gettext_lazy("All"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kind of failure, as the page tells of it."""

    kind: FailureGroup
    #: To the tasks, as far as their rows are still there.
    url: str

    @property
    def last_hour(self) -> int:
        return self.kind.hours[-1]

    @property
    def last_week(self) -> int:
        return self.kind.last_week or 0

    @property
    def last_day(self) -> int:
        return sum(self.kind.hours)

    @property
    def sparkline(self) -> SafeString:
        title = ngettext("%d failure in 24 hours", "%d failures in 24 hours", self.last_day) % self.last_day
        return charts.sparkline(self.kind.hours, title=title, tone="bad")


class FailuresPage(Page):
    """Kinds of failures, the one that came last first, and what can be done about all of a kind."""

    key = "failures"
    title = gettext_lazy("Failures")
    template = "admin/django_tasks/failures.html"
    fragments = {"failures": "admin/django_tasks/failures_table.html"}
    deeds = FAILURE_DEEDS

    def __init__(self, admin: Any) -> None:
        super().__init__(admin)
        self.model: type[Model] = FailureGroup

    @property
    def kinds(self) -> FailureGroupQuerySet:
        return FailureGroup.objects.using(conf.current().DATABASE)

    def context(self, request: HttpRequest) -> dict[str, Any]:
        asked = request.GET.get("show", "open")
        shown = asked if asked in SHOWN else "open"
        before = _moment(request.GET.get("before", ""))
        kinds = _of(self.kinds, shown).newest_first(None if before is None else clock.to_storage(before))
        found = list(_with_hours(kinds)[: MOST + 1])
        older = clock.from_storage(found[MOST - 1].last_seen).isoformat() if len(found) > MOST else None
        return {
            "shown": shown,
            "choices": SHOWN.items(),
            # Asked for by the template of the table, which may stand alone.
            "lines": partial(self._lines, found[:MOST]),
            "older": older,
            "is_first": before is None,
        }

    def latest(self, most: int) -> list[Line]:
        """Those of the last 24 hours that are news, the one that came last first."""
        since = clock.to_storage(clock.now() - DAY)
        return self._lines(_with_hours(self.kinds.open().filter(last_seen__gte=since).newest_first())[:most])

    def _lines(self, kinds: Iterable[FailureGroup]) -> list[Line]:
        return [
            Line(kind=kind, url=links.url_of_list(self.site, TaskResult, fingerprint=kind.fingerprint))
            for kind in kinds
        ]

    def may_do(self, request: HttpRequest, action: Action) -> bool:
        """What is done to all tasks of a kind is for those who see all of them."""
        sees_all = isinstance(self.admin, TaskChoice) and self.admin.shows_what_is_asked(request)
        return super().may_do(request, action) and (sees_all or action not in TO_ALL_TASKS)

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        """Kinds; what is counted are their tasks."""
        kinds = list(self.kinds.filter(fingerprint__in=keys))
        number = sum(tasks_of(kind).count(counting.MOST + 1) for kind in kinds)
        one = kinds[0] if len(kinds) == 1 else None
        return Chosen(
            rows=kinds,
            # Of an old kind there may be no task left, and something to say nevertheless.
            count=Count.of(max(number, len(kinds)), counting.MOST),
            samples=[f"{kind}: {kind.sample}" for kind in kinds],
            id=one.fingerprint if one else "",
            name=str(one) if one else "",
        )


def _with_hours(kinds: FailureGroupQuerySet) -> FailureGroupQuerySet:
    return kinds.with_hours(clock.to_storage(clock.now()))


def _of(kinds: FailureGroupQuerySet, shown: str) -> FailureGroupQuerySet:
    match shown:
        case "open":
            return kinds.open()
        case "muted":
            return kinds.filter(muted=True)
    return kinds


def _moment(text: str) -> dt.datetime | None:
    try:
        return clock.from_storage(dt.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
