"""The page of what operators did."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from . import links, log
from .pages import Page
from .tabs import SEE_LOG

#: Entries on one page.
MOST = 50


class AuditPage(Page):
    """Who did what, the newest first."""

    key = "audit"
    title = _("Audit")
    template = "admin/django_tasks/audit.html"
    fragments = {"entries": "admin/django_tasks/audit_entries.html"}
    permission = SEE_LOG

    def context(self, request: HttpRequest) -> dict[str, Any]:
        entries = log.ours()
        before = request.GET.get("before", "")
        if before.isdecimal():
            entries = entries.filter(pk__lt=int(before[:18]))
        found = list(entries.select_related("user", "content_type")[: MOST + 1])
        return {
            "entries": [log.read(row, self._url_of(row)) for row in found[:MOST]],
            "older": found[MOST - 1].pk if len(found) > MOST else None,
            "is_first": not before,
        }

    def _url_of(self, row: LogEntry) -> str:
        """Of the page of the row it is about; of one that is gone, Django says so."""
        model = row.content_type.model_class() if row.content_type else None
        return links.url_of(self.site, model, row.object_id) if model and row.object_id else ""
