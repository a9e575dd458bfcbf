"""What Django's menu needs a model for, and has none."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from django_tasks.models import Overview

from .read_only import ReadOnly
from .tabs import SEE_TASKS


@admin.register(Overview)
class OverviewAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """An entry that leads to the overview, which hangs on the admin of tasks. It has no other page."""

    def get_urls(self) -> list[URLPattern]:
        lead = self.admin_site.admin_view(self.changelist_view)
        return [path("", lead, name=f"{self.opts.app_label}_{self.opts.model_name}_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:django_tasks_overview", current_app=self.admin_site.name))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(SEE_TASKS)
