"""The page that shows how all of it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks import states
from django_tasks.dispatch import sizes
from django_tasks.models import QueuedMessage, TaskResult, Worker
from django_tasks.models.counting import Count
from django_tasks.overview.course import PERIODS, Course, Period, course, period
from django_tasks.overview.notices import Level
from django_tasks.overview.state import State, state_now

from . import courses, failures, links, numbers, queue_pages, times, worker_pages
from .actions import Offer
from .failures import FailuresPage
from .pages import Page
from .queue_pages import QueuesPage
from .rows import RowAdmin
from .tabs import SEE_MESSAGES, SEE_WORKERS
from .worker_pages import Running

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Kinds of failures that are shown.
MOST_FAILURES = 10
#: What parts of the page take besides the permission to see it.
TAKES = {"queues": SEE_MESSAGES, "workers": SEE_WORKERS}
#: The colour of a notice.
TONES = {Level.WARNING: "warn", Level.CRITICAL: "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One number, and where to look further."""

    label: StrOrPromise
    value: str
    tone: str
    url: str = ""


class OverviewPage(Page):
    """Tiles, throughput, queues, failures and workers."""

    key = "overview"
    title = gettext_lazy("Overview")
    template = "admin/django_tasks/overview.html"
    fragments = {
        "now": "admin/django_tasks/overview_now.html",
        "throughput": "admin/django_tasks/overview_throughput.html",
        "queues": "admin/django_tasks/overview_queues.html",
        "failures": "admin/django_tasks/overview_failures.html",
        "workers": "admin/django_tasks/overview_workers.html",
    }

    def context(self, request: HttpRequest) -> dict[str, Any]:
        return {"overview": Overview(request, self)}

    def fragments_for(self, request: HttpRequest) -> Mapping[str, str]:
        missing = {name for name, permission in TAKES.items() if not request.user.has_perm(permission)}
        if self.failures is None:
            missing.add("failures")
        return {name: template for name, template in self.fragments.items() if name not in missing}

    def offers(self, request: HttpRequest) -> dict[str, Offer]:
        """What is offered beside its lines is done by the pages that have all of these."""
        there = [page for page in (self.failures, self.queues) if page is not None]
        return {name: offer for page in there for name, offer in page.offers(request).items()}

    @cached_property
    def failures(self) -> FailuresPage | None:
        """Not where a project leaves it out."""
        return FailuresPage(self.admin) if FailuresPage in self.admin.pages else None

    @cached_property
    def queues(self) -> QueuesPage | None:
        """Not on a site that does not show queues, or in a way of its own."""
        if not self.site.is_registered(QueuedMessage):
            return None
        admin = self.site.get_model_admin(QueuedMessage)
        return QueuesPage(admin) if isinstance(admin, RowAdmin) and QueuesPage in admin.pages else None


class Overview:
    """What the templates ask for; each part is made when it is, so a fragment costs its own part only."""

    def __init__(self, request: HttpRequest, page: OverviewPage) -> None:
        self.page = page
        self.site = page.site
        self.period: Period = period(request.GET.get("period", ""))
        self.periods = [(one, f"?period={one.key}") for one in PERIODS]
        self.may_see_messages = request.user.has_perm(SEE_MESSAGES)
        self.may_see_workers = request.user.has_perm(SEE_WORKERS)

    @cached_property
    def state(self) -> State:
        return state_now(patience=sizes.PATIENCE)

    @cached_property
    def course(self) -> Course:
        return course(self.period)

    @property
    def notices(self) -> list[tuple[str, str]]:
        """The tone and the text of each."""
        return [(TONES[notice.level], notice.text) for notice in self.state.notices]

    @property
    def tiles(self) -> list[Tile]:
        counts, day = self.state.counts, self.course.last_day
        bad, good = ("bad" if day.failed else "idle"), ("good" if day.succeeded else "idle")
        return [
            self._waiting(_("Queued"), counts.queued, "ready"),
            Tile(
                label=_("Running"),
                value=numbers.told(counts.running),
                tone="busy" if counts.running else "idle",
                url=self._tasks(states.STARTED),
            ),
            self._waiting(_("Scheduled"), counts.scheduled, "parked"),
            Tile(
                label=_("Retrying"),
                value=numbers.told(counts.retrying),
                tone="warn" if counts.retrying else "idle",
                url=self._tasks(states.RETRY),
            ),
            self._ended(_("Failed (24 h)"), day.failed, states.FAILURE, bad),
            self._ended(_("Succeeded (24 h)"), day.succeeded, states.SUCCESS, good),
            self._oldest(),
            self._workers(),
        ]

    def _tasks(self, status: str) -> str:
        return links.url_of_list(self.site, TaskResult, status=status)

    def _messages(self, **query: str) -> str:
        return links.url_of_list(self.site, QueuedMessage, **query) if self.may_see_messages else ""

    def _waiting(self, label: str, count: Count, state: str) -> Tile:
        return Tile(label=label, value=numbers.told(count), tone="idle", url=self._messages(state=state))

    def _ended(self, label: str, number: int, status: str, tone: str) -> Tile:
        value = Count(number, is_capped=self.course.is_behind)
        return Tile(label=label, value=numbers.told(value), tone=tone, url=self._tasks(status))

    def _oldest(self) -> Tile:
        slowest, label = self.state.slowest, _("Oldest waiting")
        if slowest is None:
            return Tile(label=label, value=times.NOTHING, tone="idle")
        slow = any(notice.code == "queue_slow" for notice in self.state.notices)
        value = f"{times.span(slowest.age(self.state.now))} · {slowest.queue}"
        url = self._messages(state="ready", queue=slowest.queue)
        return Tile(label=label, value=value, tone="warn" if slow else "idle", url=url)

    def _workers(self) -> Tile:
        online, lost = self.state.online, self.state.lost
        value = _("%d online") % online
        if lost:
            value = " · ".join((value, _("%d lost") % lost))
        tone = "good" if online and not lost else "bad"
        url = links.url_of_list(self.site, Worker) if self.may_see_workers else ""
        return Tile(label=_("Workers"), value=value, tone=tone, url=url)

    @property
    def throughput(self) -> courses.Chart:
        return courses.throughput(self.course.period, self.course.spans, title=_("Tasks that ended"))

    @property
    def percentiles(self) -> list[tuple[str, dt.timedelta]]:
        return courses.percentiles(self.course.total)

    @property
    def queues(self) -> list[queue_pages.CourseLine]:
        url_of = self.page.queues.url_of if self.page.queues else lambda queue: ""
        return [
            queue_pages.CourseLine(depth=depth, url=url_of(depth.queue), course=self.course)
            for depth in self.state.queues
        ]

    @property
    def failures(self) -> list[failures.Line]:
        return self.page.failures.latest(MOST_FAILURES) if self.page.failures else []

    @property
    def failures_url(self) -> str:
        return self.page.failures.home() if self.page.failures else ""

    @property
    def workers(self) -> list[worker_pages.Line]:
        """The living ones first."""
        several = sorted(self.state.workers, key=lambda worker: not worker.is_alive)
        return [
            worker_pages.Line(
                row=worker.row,
                url=links.url_of(self.site, Worker, worker.row.id),
                running=[Running(name=name, number=number) for name, number in worker.tasks],
            )
            for worker in several
        ]
