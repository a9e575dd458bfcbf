"""`{% load django_tasks %}`: what the project's own pages, and its own admin, show of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import template
from django.apps import apps
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from django_tasks.handlers import later
from django_tasks.message.asked import subject_of
from django_tasks.models import TaskResult
from django_tasks.views import may_see

register = template.Library()

#: A site without Django's admin has templates, too, and this file is imported by them.
badge_of = later("django_tasks.admin.badges.of_status")
moment_of = later("django_tasks.admin.times.moment")
span_of = later("django_tasks.admin.times.span")

#: Columns of the table. No arguments: whoever sees the object may not be one to see these.
COLUMNS = ("id", "task", "status", "created_at", "started_at", "finished_at", "subject_type", "subject_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One task, as the table tells of it."""

    row: TaskResult
    badge: Any
    sent: Any
    run_time: Any
    #: Its page in the admin, or nothing for those who may not see that.
    url: str


@register.inclusion_tag("django_tasks/tasks_of.html", takes_context=True)
def tasks_of(context: Context, about: Model, most: int = 10) -> dict[str, Any]:
    """The last tasks that were sent about an object (`subject=`), the latest first: `{% tasks_of invoice %}`.

    One query, by an index. Those who may see tasks in the admin get there by a link.
    """
    site = _site(context)
    found = [] if about.pk is None else list(TaskResult.objects.about(about).only(*COLUMNS)[: most + 1])
    return {
        "lines": _lines(found[:most], site),
        "all_url": _all_url(about, site) if len(found) > most else "",
    }


def _lines(rows: Sequence[TaskResult], site: str | None) -> list[Line]:
    has_admin = apps.is_installed("django.contrib.admin")
    return [
        Line(
            row=row,
            badge=badge_of(row.status) if has_admin else row.status,
            sent=moment_of(row.created_at) if has_admin else row.created_at,
            run_time=span_of(row.run_time) if has_admin else "",
            url="" if site is None else _url(site, "change", quote(row.id)),
        )
        for row in rows
    ]


def _site(context: Context) -> str | None:
    """The admin site to link to: the one that shows the page, or else the usual one; of a stranger none."""
    request: Any = context.get("request")
    is_staff = getattr(getattr(request, "user", None), "is_staff", False)
    if not is_staff or not may_see(request):
        return None
    return getattr(request, "current_app", "admin") or "admin"


def _all_url(about: Model, site: str | None) -> str:
    subject = subject_of(about)
    if site is None or subject is None:
        return ""
    address = _url(site, "changelist")
    return f"{address}?{urlencode({'subject': ':'.join(subject)})}" if address else ""


def _url(site: str, page: str, *args: str) -> str:
    try:
        return reverse(f"admin:django_tasks_taskresult_{page}", args=args, current_app=site)
    except NoReverseMatch:
        return ""
