"""Sight: since when somebody of the fleet has seen the database without a break, and what the fleet is called."""

from __future__ import annotations

import datetime as dt
import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_tasks import clock

#: The only row's key.
ONLY = 1


def new_fleet() -> str:
    return uuid.uuid4().hex


class SightQuerySet(models.QuerySet["Sight"]):
    def keep(
        self, now: dt.datetime, longest_gap: dt.timedelta, since: dt.datetime | None = None
    ) -> dt.datetime:
        """Somebody sees the database now: since when it has been seen with no gap that was longer.

        `since` is what the answer was before. As long as it stays so, this is one statement.
        """
        unbroken = self.filter(id=ONLY, until__gte=now - longest_gap)
        if since is not None and unbroken.filter(since=since).update(until=now):
            return since
        if unbroken.update(until=now):
            return self.get(id=ONLY).since
        self.update_or_create(id=ONLY, defaults={"since": now, "until": now})
        return now

    def fleet(self) -> str:
        """What the workers of this database are called together, where they may meet those of another one."""
        now = clock.to_storage(clock.now())
        return self.get_or_create(id=ONLY, defaults={"since": now, "until": now})[0].fleet


class Sight(models.Model):
    """What all workers have seen together, also those that have ended: a fleet is older than any one of them."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"))
    fleet = models.CharField(_("fleet"), max_length=32, default=new_fleet, editable=False)

    objects = SightQuerySet.as_manager()

    class Meta:
        verbose_name = _("sight of the database")
        verbose_name_plural = _("sights of the database")

    def __str__(self) -> str:
        return f"{self.since} – {self.until}"  # noqa: RUF001
