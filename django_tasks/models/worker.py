"""Worker: one `runworker`, and until when it is believed to be alive."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from django_tasks import clock


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self, now: dt.datetime) -> Self:
        """Workers whose lease is running. `now` is the database's time."""
        return self.filter(lost_at=None, lease_until__gt=now)

    def lapsed(self, now: dt.datetime) -> Self:
        """Workers that let their lease pass and whom nobody has buried yet."""
        return self.filter(lost_at=None, lease_until__lte=now)

    def renew(self, id: str, until: dt.datetime) -> bool:
        """Extend a lease. False if the worker was given up meanwhile: its tasks are no longer its own."""
        return self.filter(id=id, lost_at=None).update(lease_until=until) == 1

    def set_rate_limit(
        self, task: str, rate: str | float | None, names: Collection[str] | None = None
    ) -> int:
        """Change how often a task may begin in each living worker, or in those of these names; how many these are."""
        with transaction.atomic(using=self.db):
            chosen = self.filter(lost_at=None).select_for_update()
            workers = [worker for worker in chosen if names is None or worker.name in names]
            for worker in workers:
                worker.rate_limits[task] = rate
            self.bulk_update(workers, ["rate_limits"])
        return len(workers)

    def bury(self, id: str, now: dt.datetime) -> bool:
        """Give a lapsed worker up. True for exactly one of all who try, who then rescues what it left."""
        return self.lapsed(now).filter(id=id).update(lost_at=now) == 1


class Worker(models.Model):
    """A running `manage.py runworker` with all its processes."""

    id = models.CharField(_("id"), max_length=32, primary_key=True)
    name = models.CharField(_("name"), max_length=255)
    hostname = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    queues = models.TextField(_("queues"))
    processes = models.PositiveSmallIntegerField(_("processes"))
    threads = models.PositiveSmallIntegerField(_("threads per process"))
    version = models.CharField(_("version"), max_length=50)
    started_at = models.DateTimeField(_("started"))
    lease_until = models.DateTimeField(_("believed until"))
    lost_at = models.DateTimeField(_("lost"), null=True)
    rate_limits = models.JSONField(_("rate limits set at run time"), default=dict)
    recovered = models.PositiveIntegerField(_("tasks recovered"), default=0)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name

    def is_alive(self) -> bool:
        """By this machine's clock, for display; decisions are taken in database time."""
        return self.lost_at is None and clock.from_storage(self.lease_until) > clock.now()
