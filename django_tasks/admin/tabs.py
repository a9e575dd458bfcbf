"""The pages there are, in the order of the bar above each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from django_tasks.models import QueuedMessage, TaskGroup, TaskResult, Worker

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Tab:
    """A page to which the bar leads whoever has `permission`. A line of a table, so by position.

    `name` is that of its URL, within the admin's. It hangs on the admin of `model`.
    """

    key: str
    label: StrOrPromise
    name: str
    permission: str
    model: type[Model]

    def may_see(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A tab as the bar of one page shows it."""

    key: str
    label: StrOrPromise
    url: str
    is_current: bool


SEE_TASKS = "django_tasks.view_taskresult"
SEE_MESSAGES = "django_tasks.view_queuedmessage"
SEE_WORKERS = "django_tasks.view_worker"
SEE_GROUPS = "django_tasks.view_taskgroup"
SEE_LOG = "admin.view_logentry"

TABS: Sequence[Tab] = (
    Tab("overview", _("Overview"), "django_tasks_overview", SEE_TASKS, TaskResult),
    Tab("tasks", _("Tasks"), "django_tasks_taskresult_changelist", SEE_TASKS, TaskResult),
    Tab("failures", _("Failures"), "django_tasks_failures", SEE_TASKS, TaskResult),
    Tab("groups", _("Groups"), "django_tasks_taskgroup_changelist", SEE_GROUPS, TaskGroup),
    Tab("queues", _("Queues"), "django_tasks_queues", SEE_MESSAGES, QueuedMessage),
    Tab("messages", _("Messages"), "django_tasks_queuedmessage_changelist", SEE_MESSAGES, QueuedMessage),
    Tab("workers", _("Workers"), "django_tasks_worker_changelist", SEE_WORKERS, Worker),
    Tab("performance", _("Performance"), "django_tasks_performance", SEE_TASKS, TaskResult),
    Tab("audit", _("Audit"), "django_tasks_audit", SEE_LOG, TaskResult),
)


def tabs_for(request: HttpRequest, site: AdminSite, current: str) -> list[Shown]:
    """Those that this user may see on this site, where `current` is the key of the page being shown."""
    shown = []
    for tab in TABS:
        if not tab.may_see(request) or not site.is_registered(tab.model):
            continue
        try:
            url = reverse(f"admin:{tab.name}", current_app=site.name)
        except NoReverseMatch:
            # The site shows the model in a way of its own, without this page.
            continue
        shown.append(Shown(key=tab.key, label=tab.label, url=url, is_current=tab.key == current))
    return shown
