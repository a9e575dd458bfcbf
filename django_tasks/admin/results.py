"""The tasks that were sent, and how they ended."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasks import clock, conf
from django_tasks.models import TaskGroup, TaskResult

from . import badges, links, texts, times
from .filters import GroupFilter, OriginFilter, QueueFilter, StatusFilter, TaskFilter
from .rows import RowAdmin

#: How nothing is represented, by us and by others that speak the protocol.
NO_ARGUMENTS = frozenset({"", "()", "[]", "{}", "None"})
#: Of a group, how far it is.
COUNTS = ("id", "total", "pending", "failed", "finished_at")


@admin.register(TaskResult)
class TaskResultAdmin(RowAdmin):
    list_display = ("badge", "task_and_arguments", "queue", "sent", "wait", "run_time", "worker")
    list_display_links = ("task_and_arguments",)
    list_columns = (
        *("id", "task", "status", "queue", "args", "kwargs", "worker", "claimed_by"),
        *("created_at", "started_at", "finished_at"),
    )
    # The message has the arguments unshortened, secrets and all.
    hidden_columns = ("message",)
    list_filter = (StatusFilter, TaskFilter, QueueFilter, GroupFilter, OriginFilter)
    ordering = ("-created_at",)
    search_fields = ("id", "task")
    search_help_text = _("An id, or the beginning of a task's full name. Case matters.")

    fieldsets = (
        (None, {"fields": ("task", "id", "badge", ("queue", "priority"))}),
        (
            _("Arguments"),
            {"fields": ("args_block", "kwargs_block"), "description": _("Shortened, without secrets.")},
        ),
        (_("Outcome"), {"fields": ("outcome", "traceback_block")}),
        (_("Relations"), {"fields": ("sent_by", "begun_by", "group", "came_of")}),
        (_("Times"), {"fields": ("created", "started", "finished", ("wait", "run_time"))}),
        (_("Worker"), {"fields": (("worker", "claimed_by"), ("retries", "crashes"))}),
    )
    readonly_fields = (
        *("badge", "args_block", "kwargs_block", "outcome", "traceback_block"),
        *("sent_by", "begun_by", "group", "came_of"),
        *("created", "started", "finished", "wait", "run_time", "claimed_by"),
    )

    @property
    def database(self) -> str:
        return conf.current().DATABASE

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The tasks of a group in its order, which an index gives."""
        return ("group_index",) if request.GET.get(GroupFilter.parameter_name) else self.ordering

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The task with this id, or else the tasks whose name begins so; each by an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        by_id = queryset.filter(id=term)
        return (by_id if by_id.exists() else queryset.of_tasks_named(term)), False  # type: ignore[attr-defined]

    @admin.display(description=_("status"))
    def badge(self, row: TaskResult) -> SafeString:
        return badges.of_status(row.status)

    @admin.display(description=_("task"))
    def task_and_arguments(self, row: TaskResult) -> SafeString:
        short = texts.line(row.task.rpartition(".")[2] or row.task, title=row.task)
        given = " ".join(text for text in (row.args, row.kwargs) if text not in NO_ARGUMENTS)
        return format_html("{}{}", short, texts.line(given, quiet=True)) if given else short

    @admin.display(description=_("sent"))
    def sent(self, row: TaskResult) -> SafeString | str:
        return times.moment(row.created_at)

    @admin.display(description=_("wait"))
    def wait(self, row: TaskResult) -> str:
        return times.span(row.wait_time)

    @admin.display(description=_("run time"))
    def run_time(self, row: TaskResult) -> str:
        """Of a task that somebody is running: until now."""
        if row.claimed_by is None or row.started_at is None:
            return times.span(row.run_time)
        return times.span(clock.now() - clock.from_storage(row.started_at))

    @admin.display(description=_("positional"))
    def args_block(self, row: TaskResult) -> SafeString | str:
        return texts.block(row.args)

    @admin.display(description=_("keyword"))
    def kwargs_block(self, row: TaskResult) -> SafeString | str:
        return texts.block(row.kwargs)

    @admin.display(description=_("result"))
    def outcome(self, row: TaskResult) -> SafeString | str:
        return texts.block(texts.pretty(row.result) if row.result else None)

    @admin.display(description=_("traceback"))
    def traceback_block(self, row: TaskResult) -> SafeString | str:
        return texts.block(row.traceback)

    @admin.display(description=_("sent by"))
    def sent_by(self, row: TaskResult) -> SafeString | str:
        return links.to_row(self.admin_site, TaskResult, row.parent_id) if row.parent_id else times.NOTHING

    @admin.display(description=_("begun by"))
    def begun_by(self, row: TaskResult) -> SafeString | str:
        if row.root_id in ("", row.id):
            return times.NOTHING
        begun = links.to_row(self.admin_site, TaskResult, row.root_id)
        everything = links.to_list(self.admin_site, TaskResult, _("all that came of it"), origin=row.root_id)
        return format_html("{} ({})", begun, everything)

    @admin.display(description=_("group"))
    def group(self, row: TaskResult) -> SafeString | str:
        """How far the group is, which costs a query, and the tasks in it."""
        if row.group_id is None:
            return times.NOTHING
        members = links.to_list(self.admin_site, TaskResult, _("its tasks"), group_id=row.group_id)
        group = TaskGroup.objects.using(self.database).only(*COUNTS).filter(id=row.group_id).first()
        if group is None:
            return format_html("{} ({})", row.group_id, members)
        page = links.to_row(self.admin_site, TaskGroup, group.id)
        return format_html("{} {} ({})", badges.of_group(group), page, members)

    @admin.display(description=_("came of it"))
    def came_of(self, row: TaskResult) -> SafeString:
        return links.to_list(self.admin_site, TaskResult, _("What this task sent"), origin=row.id)

    @admin.display(description=_("sent"))
    def created(self, row: TaskResult) -> SafeString | str:
        return times.exact(row.created_at)

    @admin.display(description=_("started"))
    def started(self, row: TaskResult) -> SafeString | str:
        return times.exact(row.started_at)

    @admin.display(description=_("finished"))
    def finished(self, row: TaskResult) -> SafeString | str:
        return times.exact(row.finished_at)
