"""The rows of workers, which have pages of their own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from django_tasks.models import Worker

from .rows import RowAdmin
from .worker_deeds import drain, stop
from .worker_pages import WorkerPage, WorkersPage


@admin.register(Worker)
class WorkerAdmin(RowAdmin):
    """Its list and its form are our pages: workers are few, and what they do is in other tables."""

    tab = "workers"
    pages = (WorkersPage,)
    deeds = (drain, stop)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return WorkersPage(self).view(request)

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if object_id is None or request.method not in ("GET", "HEAD"):
            raise PermissionDenied  # to add one, or to change it
        return WorkerPage(self, unquote(object_id)).view(request)
