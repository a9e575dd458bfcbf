"""What the list and a task's page show of it."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_tasks.models import TaskGroup, TaskResult

from . import badges, columns, links, names, origins, task_options, texts, times, tracebacks
from .rows import RowAdmin

#: How nothing is represented, by us and by others that speak the protocol.
NO_ARGUMENTS = frozenset({"", "()", "[]", "{}", "None"})
#: Of a group, how far it is.
COUNTS = ("id", "total", "pending", "failed", "finished_at")


def _badge(row: TaskResult) -> SafeString:
    """With how often it was tried, if more than once."""
    badge, tried = badges.of_status(row.status), task_options.attempts(row)
    if not tried:
        return badge
    return format_html(
        '{} <small class="tasks-tried" title="{}">{}</small>', badge, gettext("attempts"), tried
    )


class TaskColumns(RowAdmin):
    badge = columns.column(_("status"), _badge)

    @admin.display(description=_("task"))
    def task_and_arguments(self, row: TaskResult) -> SafeString:
        given = (text for text in (row.args, row.kwargs) if text not in NO_ARGUMENTS)
        return names.in_list(row, " ".join(given))

    task_name = columns.column(_("task"), names.in_list)

    @admin.display(description="")
    def tick(self, row: TaskResult) -> SafeString:
        return format_html(
            '<input type="checkbox" class="tasks-tick" name="{}" value="{}" aria-label="{}">',
            ACTION_CHECKBOX_NAME,
            row.pk,
            gettext("Select %s") % row,
        )

    sent = columns.moment(_("sent"), "created_at")
    wait = columns.column(_("wait"), lambda row: times.span(row.wait_time))

    run_time = columns.column(_("run time"), lambda row: times.span(times.run_time(row)))
    args_block = columns.column(_("positional"), lambda row: texts.block(row.args))
    kwargs_block = columns.column(_("keyword"), lambda row: texts.block(row.kwargs))
    outcome = columns.column(
        _("result"), lambda row: texts.block(texts.pretty(row.result, row.task) if row.result else None)
    )

    traceback_block = columns.column(_("traceback"), lambda row: tracebacks.block(row.traceback))

    @admin.display(description=_("kind of failure"))
    def kind(self, row: TaskResult) -> SafeString | str:
        if row.fingerprint is None:
            return times.NOTHING
        words = _("All failures of this kind")
        return links.to_list(self.admin_site, TaskResult, words, fingerprint=row.fingerprint)

    @admin.display(description=_("asked for by user"))
    def asked_by(self, row: TaskResult) -> SafeString | str:
        return origins.user(self.admin_site, row)

    request = columns.column(_("in request"), lambda row: row.request_id or times.NOTHING)
    sent_from = columns.column(_("sent from"), origins.process)

    @admin.display(description=_("about"))
    def about(self, row: TaskResult) -> SafeString | str:
        return origins.subject(self.admin_site, row)

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

    created = columns.exact(_("sent"), "created_at")
    started = columns.exact(_("started"), "started_at")
    finished = columns.exact(_("finished"), "finished_at")
