"""The tasks that were sent, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from django_tasks import states
from django_tasks.models import TaskResult
from django_tasks.steering import matching

from . import fragments
from .audit import AuditPage
from .enqueue import EnqueuePage
from .failures import FailuresPage
from .filters import (
    AttemptsFilter,
    GroupFilter,
    KindFilter,
    OriginFilter,
    QueueFilter,
    SlowerFilter,
    StatusFilter,
    SubjectFilter,
    TaskFilter,
    WindowFilter,
)
from .overview import OverviewPage
from .performance import PerformancePage
from .saved_views import SavedViewsPage, Shown
from .task_choice import TaskChoice
from .task_columns import TaskColumns
from .task_deeds import TASK_DEEDS, applies
from .task_files import TaskFiles
from .task_states import StateTab, state_tabs


@admin.register(TaskResult)
class TaskResultAdmin(TaskColumns, TaskChoice, TaskFiles):
    tab = "tasks"
    deeds = TASK_DEEDS
    pages = (OverviewPage, FailuresPage, PerformancePage, AuditPage, EnqueuePage, SavedViewsPage)
    list_display = ("badge", "task_and_arguments", "queue", "sent", "wait", "run_time", "worker")
    #: For those who may not see arguments.
    list_display_without_payload = ("badge", "task_name", "queue", "sent", "wait", "run_time", "worker")
    list_columns = (
        *("id", "task", "status", "queue", "args", "kwargs", "worker", "claimed_by"),
        *("created_at", "started_at", "finished_at", "group_index", "retries"),
    )
    # The message has the arguments unshortened, secrets and all.
    hidden_columns = ("message",)
    list_filter = (
        *(StatusFilter, WindowFilter, TaskFilter, QueueFilter),
        *(SlowerFilter, AttemptsFilter, GroupFilter, OriginFilter, KindFilter, SubjectFilter),
    )
    list_fragments = {
        "states": "admin/django_tasks/taskresult/states.html",
        "tasks": "admin/django_tasks/taskresult/tasks.html",
    }
    detail_fragments = {
        "head": "admin/django_tasks/taskresult/head.html",
        "attempts": "admin/django_tasks/taskresult/attempts.html",
        "runs": "admin/django_tasks/taskresult/runs.html",
    }
    ordering = ("-created_at",)
    search_fields = ("id", "task")
    search_help_text = _(
        "An id, or the beginning of a task's full name. Case matters. Or: task: queue: status: worker: user: error: "
        "arg.customer_id:42"
    )

    fieldsets = (
        (None, {"fields": ("task", "id", "badge")}),
        (
            _("Arguments"),
            {"fields": ("args_block", "kwargs_block"), "description": _("Shortened, without secrets.")},
        ),
        (_("Outcome"), {"fields": ("outcome", "traceback_block", "kind")}),
        (_("Origin"), {"fields": ("asked_by", "request", "sent_from", "about")}),
        (_("Relations"), {"fields": ("sent_by", "begun_by", "group", "came_of")}),
        (_("Times"), {"fields": ("created", "started", "finished", ("wait", "run_time"))}),
        (_("Worker"), {"fields": (("worker", "claimed_by"), ("retries", "crashes"))}),
    )
    readonly_fields = (
        *("badge", "args_block", "kwargs_block", "outcome", "traceback_block", "kind"),
        *("asked_by", "request", "sent_from", "about"),
        *("sent_by", "begun_by", "group", "came_of"),
        *("created", "started", "finished", "wait", "run_time", "claimed_by"),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """In the order that an index gives: whichever finds what is asked for."""
        order = matching.order([name for name, value in request.GET.items() if value])
        # The members of a group are a row of their own; of everything else the newest comes first.
        return order if order == ("group_index",) else tuple(f"-{column}" for column in order)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """With boxes to tick, and arguments for those who may see them."""
        shown = self.list_display if self._sees_payloads(request) else self.list_display_without_payload
        return ("tick", *shown)

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> tuple[str, ...]:
        return tuple(name for name in ("task_and_arguments", "task_name") if name in list_display)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        asked = matching.known({name: str(value) for name, value in request.GET.dict().items()})
        is_counted = fragments.asked_for(request) == "states"
        name = f"admin:{self._url_name('export')}"
        more = {
            "tasks_asked": urlencode(asked),
            # Asked for by the template of the tabs only.
            "tasks_states": partial(self._states, asked, is_counted=is_counted),
            "tasks_views": partial(self._views, request, asked),
            "tasks_may_ask_all": self.shows_what_is_asked(request),
            "tasks_bulk": [offer for offer in self.offers(request).values() if offer.action.is_for_many],
            "tasks_enqueue_url": self._enqueue_url(request),
            "tasks_export_url": reverse(name, current_app=self.admin_site.name),
        }
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def _enqueue_url(self, request: HttpRequest) -> str:
        page = EnqueuePage(self)
        return page.home() if EnqueuePage in self.pages and page.may_see(request) else ""

    def _views(self, request: HttpRequest, asked: Mapping[str, str]) -> Shown | None:
        """Asked for by the template of the whole page only."""
        return SavedViewsPage(self).shown(request, asked) if SavedViewsPage in self.pages else None

    def _states(self, asked: Mapping[str, str], *, is_counted: bool) -> list[StateTab]:
        rows: Any = TaskResult.objects.using(self.database)
        return state_tabs(rows, asked, is_counted=is_counted)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """With the buttons of what there is a point in doing to this task."""
        row = context["original"]
        offers = [offer for offer in self.offers(request).values() if applies(offer.action, row)]
        more = {
            "tasks_offers": offers,
            "tasks_detail": self._detail(request, row),
            "tasks_raw_url": reverse(
                f"admin:{self._url_name('raw')}", args=[quote(row.pk)], current_app=self.admin_site.name
            ),
        }
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What went wrong is for everybody who may see the task; arguments and results are not."""
        if self._sees_payloads(request):
            return self.fieldsets
        hidden = {"args_block", "kwargs_block", "sent_from"}
        # An error, or what a task returned, or tells of its progress?
        if obj is not None and obj.status not in states.EXCEPTION_STATES:
            hidden.add("outcome")
        return [
            (name, {**said, "fields": left})
            for name, said in self.fieldsets
            if (left := tuple(field for field in said["fields"] if field not in hidden))
        ]
