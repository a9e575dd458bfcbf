"""The groups that were sent, and how far they are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasks.models import TaskGroup, TaskResult

from . import badges, columns, links, texts, times
from .rows import RowAdmin


@admin.register(TaskGroup)
class TaskGroupAdmin(RowAdmin):
    tab = "groups"
    list_display = ("badge", "id", "failed", "sent", "finished")
    list_display_links = ("id",)
    list_columns = ("id", "total", "pending", "failed", "created_at", "finished_at")
    # Ids, and nothing that the members do not say as well.
    hidden_columns = ("saved",)
    # The newest first, which the key gives: ids are made in the order of time.
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = _("An id.")

    fieldsets = (
        (None, {"fields": ("id", "badge", ("total", "failed"), "members")}),
        (_("Then"), {"fields": ("body_block",), "description": _("To which the results go, of a chord.")}),
        (_("Relations"), {"fields": ("sent_by", "begun_by")}),
        (_("Times"), {"fields": ("sent_exactly", "finished_exactly")}),
    )
    readonly_fields = (
        *("badge", "members", "body_block", "sent_by", "begun_by"),
        *("sent_exactly", "finished_exactly"),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What its body is called with is for those who may see what tasks are called with."""
        may_see = self._sees_payloads(request)
        return [each for each in self.fieldsets if may_see or "body_block" not in each[1]["fields"]]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The group with this id."""
        term = search_term.strip()
        return (queryset.filter(id=term) if term else queryset), False

    badge = columns.column(_("progress"), lambda row: badges.of_group(row))
    sent = columns.moment(_("sent"), "created_at")
    finished = columns.moment(_("finished"), "finished_at")

    @admin.display(description=_("its tasks"))
    def members(self, row: TaskGroup) -> SafeString:
        return links.to_list(self.admin_site, TaskResult, _("All tasks of the group"), group_id=row.id)

    body_block = columns.column(
        _("body"), lambda row: texts.block(texts.signature(row.body) if row.body else None)
    )

    @admin.display(description=_("sent by"))
    def sent_by(self, row: TaskGroup) -> SafeString | str:
        return links.to_row(self.admin_site, TaskResult, row.parent_id) if row.parent_id else times.NOTHING

    @admin.display(description=_("begun by"))
    def begun_by(self, row: TaskGroup) -> SafeString | str:
        return links.to_row(self.admin_site, TaskResult, row.root_id) if row.root_id else times.NOTHING

    sent_exactly = columns.exact(_("sent"), "created_at")
    finished_exactly = columns.exact(_("finished"), "finished_at")
