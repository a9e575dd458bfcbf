"""QueuePause: a queue that no worker takes from until somebody resumes it, or its time is over."""

from __future__ import annotations

import datetime as dt
from typing import Self

from django.db import connections, models, transaction
from django.utils.translation import gettext_lazy as _

from django_tasks import clock
from django_tasks.message.saferepr import storable

from .watch import COMMANDS, announce


class QueuePauseQuerySet(models.QuerySet["QueuePause"]):
    def in_force(self, now: dt.datetime) -> Self:
        """Pauses that are not over. `now` is the database's time."""
        return self.exclude(until__lte=now)

    def pause(self, queue: str, reason: str = "", until: dt.datetime | None = None, by: str = "") -> bool:
        """Pause a queue. False if it is paused already: then only the reason, the end and who wants it change."""
        said = {
            "reason": storable(reason)[:1000],
            "until": None if until is None else clock.to_storage(clock.from_storage(until)),
            "paused_by": storable(by)[:255],
        }
        with transaction.atomic(using=self.db):
            now = clock.to_storage(clock.now())
            self.filter(queue=queue, until__lte=now).delete()  # it was over: this is another one
            _, created = self.update_or_create(
                queue=queue, defaults=said, create_defaults={**said, "paused_at": now}
            )
            announce(connections[self.db], COMMANDS)
        return created

    def resume(self, queue: str) -> bool:
        """Have a queue served again. False if it was not paused."""
        with transaction.atomic(using=self.db, savepoint=False):
            resumed = bool(self.filter(queue=queue).delete()[0])
            announce(connections[self.db], COMMANDS)
        return resumed

    def prune(self, now: dt.datetime) -> int:
        """Delete the pauses that are over; how many these were."""
        return self.filter(until__lte=now).delete()[0]


class QueuePause(models.Model):
    """A paused queue, and why it is."""

    queue = models.CharField(_("queue"), max_length=100, primary_key=True)
    reason = models.CharField(_("reason"), max_length=1000, blank=True)
    paused_at = models.DateTimeField(_("paused"))
    until = models.DateTimeField(_("until"), null=True)
    paused_by = models.CharField(_("paused by"), max_length=255, blank=True)

    objects = QueuePauseQuerySet.as_manager()

    class Meta:
        verbose_name = _("paused queue")
        verbose_name_plural = _("paused queues")

    def __str__(self) -> str:
        return self.queue
