"""The queues, each with how full it is, who serves it and what can be done to it; and one queue by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks import clock, conf
from django_tasks.brokers.handler import broker
from django_tasks.dispatch import sizes
from django_tasks.dispatch.depths import Depth, depths
from django_tasks.models import QueuedMessage, TaskResult, Worker
from django_tasks.models.counting import MOST, Count
from django_tasks.overview.arrivals import sent_per_minute
from django_tasks.overview.course import PERIODS, Course, Period, course, period

from . import courses, links, times
from .actions import Chosen
from .pages import Page
from .queue_deeds import DEEDS
from .tabs import SEE_MESSAGES

#: Rows of each kind on a queue's own page.
HEAD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A queue as it is shown."""

    depth: Depth
    url: str

    @property
    def latency(self) -> dt.timedelta | None:
        return self.depth.age(clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseLine(Line):
    """The same, with what ended of it."""

    course: Course

    @property
    def sparkline(self) -> SafeString:
        return courses.of_day(self.course.hours_of.get(self.depth.queue, [0] * 24), self.depth.queue)

    @property
    def per_minute(self) -> float:
        """Tasks that ended, lately."""
        return self.course.ended_per_minute(self.depth.queue)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLine(CourseLine):
    """And with what came to it."""

    #: Tasks that were sent per minute, lately.
    sent: float

    @property
    def empties(self) -> str:
        """When it is empty, if all goes on as it has gone lately."""
        ready, gain = self.depth.ready, self.per_minute - self.sent
        if not ready:
            return times.NOTHING
        if gain <= 0 or self.depth.is_paused:
            return _("not in sight")
        told = times.span(dt.timedelta(minutes=ready / gain))
        return _("over %s") % told if ready.is_capped else told


class QueuesPage(Page):
    key = "queues"
    title = gettext_lazy("Queues")
    template = "admin/django_tasks/queues.html"
    fragments = {"queues": "admin/django_tasks/queues_table.html"}
    permission = SEE_MESSAGES
    deeds = DEEDS

    def context(self, request: HttpRequest) -> dict[str, Any]:
        seen, sent = course(), sent_per_minute()
        return {"lines": [self.flow(depth, seen, sent) for depth in _depths()]}

    def flow(self, depth: Depth, seen: Course, sent: Mapping[str, float]) -> FlowLine:
        return FlowLine(
            depth=depth, url=self.url_of(depth.queue), course=seen, sent=sent.get(depth.queue, 0.0)
        )

    def url_of(self, queue: str) -> str:
        return reverse("admin:django_tasks_queue", args=[queue], current_app=self.site.name)

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        return Chosen(rows=list(keys), count=Count(len(keys)), samples=keys[:10], name=", ".join(keys))


class QueuePage(QueuesPage):
    """One queue: its numbers, and what is served next, runs and was set aside; with `?period=`, its course instead."""

    template = "admin/django_tasks/queue.html"
    fragments = {
        "facts": "admin/django_tasks/queue_facts.html",
        "aside": "admin/django_tasks/queue_aside.html",
        "running": "admin/django_tasks/queue_running.html",
        "next": "admin/django_tasks/queue_next.html",
        "course": "admin/django_tasks/queue_course.html",
    }

    def urls(self) -> list[URLPattern]:
        return [path("queue/<path:queue>/", self.site.admin_view(self.show), name="django_tasks_queue")]

    def show(self, request: HttpRequest, queue: str) -> HttpResponse:
        return self.view(request)

    def context(self, request: HttpRequest) -> dict[str, Any]:
        name = request.resolver_match.kwargs["queue"] if request.resolver_match else ""
        messages = QueuedMessage.objects.using(broker().alias).filter(queue=name).defer("payload")
        tasks = TaskResult.objects.using(conf.current().DATABASE).running().filter(queue=name)
        depth = cache(lambda: _depth(name))
        # Asked when a template comes to it: a part of the page asks for its own.
        return {
            "title": name,
            "queue": name,
            "queues_url": self.home(),
            "line": cache(lambda: Line(depth=depth(), url=self.url_of(name))),
            **self._course(name, request.GET.get("period", ""), depth),
            "is_embedded": broker().is_embedded,
            "aside": cache(lambda: list(messages.aside().order_by("priority", "sent_at")[:HEAD])),
            "next": cache(lambda: list(messages.ready().order_by("priority", "sent_at")[:HEAD])),
            "running": cache(lambda: list(tasks[:HEAD])),
            "site": self.site,
            "message_actions": self.admin.offers(request),
            "messages_url": links.url_of_list(self.site, QueuedMessage, queue=name),
            "workers_url": links.url_of_list(self.site, Worker),
        }

    def _course(self, name: str, key: str, depth: Callable[[], Depth]) -> dict[str, Any]:
        """What is told of the time behind, if somebody asks for a period."""
        periods: list[tuple[Period | None, str]] = [(one, f"?period={one.key}") for one in PERIODS]
        if not key:
            return {"periods": periods, "period": None}
        shown = period(key)
        return {"periods": periods, "period": shown, "flow": cache(lambda: self._flow(depth(), shown))}

    def _flow(self, depth: Depth, shown: Period) -> dict[str, Any]:
        seen = course(shown, depth.queue)
        return {
            "line": self.flow(depth, seen, sent_per_minute()),
            "chart": courses.throughput(shown, seen.spans, title=_("Tasks that ended")),
            "percentiles": courses.percentiles(seen.total),
            "is_behind": seen.is_behind,
        }


def _depth(name: str) -> Depth:
    found = next((depth for depth in _depths() if depth.queue == name), None)
    if found is None:
        raise Http404(f"There is no queue {name!r}, and nothing is left of one.")
    return found


def _depths() -> Sequence[Depth]:
    return depths(MOST, sizes.of_broker.ask)
