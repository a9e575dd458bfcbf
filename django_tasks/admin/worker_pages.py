"""The workers: who runs, how it is, what it runs; and one worker by itself."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest
from django.utils.translation import gettext_lazy as _

from django_tasks import conf
from django_tasks.models import TaskResult, Worker
from django_tasks.models.result import TaskResultQuerySet
from django_tasks.version import __version__

from . import links, times
from .actions import Chosen, Offer
from .pages import Page
from .tabs import SEE_WORKERS
from .worker_deeds import kill

#: Workers on the page, the living ones first; and running tasks that are looked for.
MOST, MOST_RUNNING = 200, 1_000
#: Running tasks named in the table.
NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A task that is known to run, or several of one name; and where its page is, if it is one."""

    name: str
    number: int = 1
    task: TaskResult | None = None
    site: AdminSite | None = None

    @property
    def url(self) -> str:
        """Made for those that are shown: of many only some are."""
        return links.url_of(self.site, TaskResult, self.task.id) if self.site and self.task else ""

    @property
    def elapsed(self) -> dt.timedelta | None:
        return times.run_time(self.task) if self.task else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A worker as it is shown."""

    row: Worker
    url: str
    running: Sequence[Running]

    @property
    def is_alive(self) -> bool:
        return self.row.is_alive()

    @property
    def is_of_other_version(self) -> bool:
        """Does it run another version of this package than the site that shows it?"""
        return self.row.version != __version__

    @property
    def our_version(self) -> str:
        return __version__

    @property
    def busy(self) -> int:
        return self.row.busy_with(_number(self.running)) if self.is_alive else 0

    @property
    def slots(self) -> int:
        """Coroutines run beside the slots that there are for others."""
        return max(self.row.slots, self.busy)

    @property
    def named(self) -> Sequence[Running]:
        return self.running[:NAMED]

    @property
    def unnamed(self) -> int:
        return _number(self.running) - _number(self.named)


def _number(several: Sequence[Running]) -> int:
    return sum(running.number for running in several)


class WorkersPage(Page):
    key = "workers"
    title = _("Workers")
    template = "admin/django_tasks/workers.html"
    fragments = {"workers": "admin/django_tasks/workers_table.html"}
    permission = SEE_WORKERS
    deeds = (kill,)

    def __init__(self, admin: Any) -> None:
        super().__init__(admin)
        # What is done here is done to a task; what is done to a worker hangs on its own admin.
        self.model = TaskResult

    def offers(self, request: HttpRequest) -> dict[str, Offer]:
        return {**self.admin.offers(request), **super().offers(request)}

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        """Tasks, of those that the site shows to this user."""
        if self.site.is_registered(TaskResult):
            shown = self.site.get_model_admin(TaskResult).get_queryset(request)
            keys = list(shown.filter(pk__in=keys).values_list("pk", flat=True))
        return super().chosen(request, keys)

    def context(self, request: HttpRequest) -> dict[str, Any]:
        return {"lines": self._lines()}

    def _lines(self) -> list[Line]:
        newest = Worker.objects.using(conf.current().DATABASE).order_by("-lease_until")[:MOST]
        workers = sorted(newest, key=lambda row: (not row.is_alive(), row.name, row.started_at))
        running: dict[str, list[Running]] = defaultdict(list)
        for task in _running()[:MOST_RUNNING]:
            running[task.owning_worker].append(self._run(task))
        return [self._line(row, running[row.id]) for row in workers]

    def _line(self, row: Worker, running: Sequence[Running]) -> Line:
        return Line(row=row, url=links.url_of(self.site, Worker, row.id), running=running)

    def _run(self, task: TaskResult) -> Running:
        return Running(name=task.task, task=task, site=self.site)


class WorkerPage(WorkersPage):
    """One worker, in the place of Django's form for its row."""

    template = "admin/django_tasks/worker.html"
    fragments = {
        "facts": "admin/django_tasks/worker_facts.html",
        "running": "admin/django_tasks/worker_running.html",
    }

    def __init__(self, admin: Any, id: str) -> None:
        super().__init__(admin)
        self.id = id

    def context(self, request: HttpRequest) -> dict[str, Any]:
        row = Worker.objects.using(conf.current().DATABASE).filter(id=self.id).first()
        if row is None:
            raise Http404("There is no such worker, or it has ended.")
        return {
            "title": row.name,
            "workers_url": self.home(),
            "line": cache(lambda: self._line(row, self._own(row))),
        }

    def _own(self, row: Worker) -> list[Running]:
        # Each of its processes owns rows, and is called so.
        own = _running().filter(claimed_by__startswith=f"{row.id}.")
        return [self._run(task) for task in own[:MOST_RUNNING]]


def _running() -> TaskResultQuerySet:
    """What has run for longest first."""
    return TaskResult.objects.using(conf.current().DATABASE).running()
