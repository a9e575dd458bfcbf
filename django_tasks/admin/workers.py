"""The workers: who runs, and who was lost."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasks import conf
from django_tasks.models import Worker

from . import badges, times
from .rows import RowAdmin


@admin.register(Worker)
class WorkerAdmin(RowAdmin):
    list_display = ("name", "badge", "hostname", "pid", "queues", "slots", "since", "believed", "version")
    list_columns = (
        *("id", "name", "hostname", "pid", "queues", "processes", "threads", "version"),
        *("started_at", "lease_until", "lost_at"),
    )
    ordering = ("name", "id")

    fieldsets = (
        (None, {"fields": ("name", "id", "badge", ("hostname", "pid", "version"))}),
        (_("Work"), {"fields": ("queues", ("processes", "threads"), "recovered")}),
        (_("Times"), {"fields": ("started", "lease", "lost")}),
    )
    readonly_fields = ("badge", "started", "lease", "lost")

    @property
    def database(self) -> str:
        return conf.current().DATABASE

    @admin.display(description=_("state"))
    def badge(self, row: Worker) -> SafeString:
        return (badges.ONLINE if row.is_alive() else badges.LOST).__html__()

    @admin.display(description=_("processes × threads"))  # noqa: RUF001 - it is a times sign
    def slots(self, row: Worker) -> str:
        return f"{row.processes} × {row.threads}"  # noqa: RUF001

    @admin.display(description=_("started"))
    def since(self, row: Worker) -> SafeString | str:
        return times.moment(row.started_at)

    @admin.display(description=_("lease ends"))
    def believed(self, row: Worker) -> SafeString | str:
        return times.moment(row.lease_until)

    @admin.display(description=_("started"))
    def started(self, row: Worker) -> SafeString | str:
        return times.exact(row.started_at)

    @admin.display(description=_("lease ends"))
    def lease(self, row: Worker) -> SafeString | str:
        return times.exact(row.lease_until)

    @admin.display(description=_("lost"))
    def lost(self, row: Worker) -> SafeString | str:
        return times.exact(row.lost_at)
