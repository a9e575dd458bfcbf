"""Tasks to take along: those that were chosen as a file, and one as JSON."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from django_tasks.models import TaskResult

from . import export, log
from .acting import keys_in
from .actions import Refused
from .rows import RowAdmin
from .task_deeds import EXPORT
from .task_detail import Detail


class TaskFiles(RowAdmin):
    def get_urls(self) -> list[URLPattern]:
        export_url = path(
            "export/", self.admin_site.admin_view(self.export_view), name=self._url_name("export")
        )
        raw = path(
            "<path:object_id>/raw/", self.admin_site.admin_view(self.raw_view), name=self._url_name("raw")
        )
        return [export_url, raw, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """What was chosen, as a file."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        kind = request.POST.get("format", "csv")
        if kind not in export.KINDS:
            raise Http404
        try:
            chosen = self.chosen(request, keys_in(request))
        except Refused as refusal:
            return self.told(request, str(refusal), messages.ERROR)
        log.write(request, self.model, EXPORT, chosen, kind)
        return export.as_file(request, chosen.rows, kind, with_payload=self._sees_payloads(request))

    def raw_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The task as JSON."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        raw = self._detail(request, row).raw()
        return JsonResponse(raw, json_dumps_params={"indent": 2, "ensure_ascii": False})

    def _detail(self, request: HttpRequest, row: TaskResult) -> Detail:
        rows: Any = self.get_queryset(request)
        return Detail(row, self.admin_site, rows, sees_payload=self._sees_payloads(request))
