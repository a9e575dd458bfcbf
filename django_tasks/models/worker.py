"""Worker: one `runworker`, and until when it is believed to be alive."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_tasks import clock

from .pruning import delete_first

#: One thing that is the matter, and with how many of its processes, as a worker writes it down.
_TROUBLE = re.compile(r"(?:^|(?<=\. ))(?P<what>[^.()]+) \((?P<some>\d+) of (?P<all>\d+) processes\)\.")


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self, now: dt.datetime) -> Self:
        """Workers whose lease is running. `now` is the database's time."""
        return self.filter(lost_at=None, lease_until__gt=now)

    def lapsed(self, now: dt.datetime) -> Self:
        """Workers that let their lease pass and whom nobody has buried yet."""
        return self.filter(lost_at=None, lease_until__lte=now)

    def known_since(self, moment: dt.datetime) -> Self:
        """Those that nobody has given up, and those given up since."""
        known = self.filter(Q(lost_at=None) | Q(lost_at__gte=moment))
        return known.order_by("name", "started_at", "id")

    def of_host(self, hostname: str, name: str | None = None) -> Self:
        """Of one machine; of these, if `name` is given, those that were started with it."""
        here = self.filter(hostname=hostname)
        return here if name is None else here.filter(name=f"{name}@{hostname}")

    def addressed(self, names: Collection[str] | None, now: dt.datetime) -> list[Worker]:
        """The living workers of these names, or all of them."""
        alive = self.alive(now).order_by("name", "started_at", "id")
        return list(alive if names is None else alive.filter(name__in=sorted(names)))

    def renew(self, id: str, lease: Mapping[str, Any]) -> bool:
        """Write a lease's moments, and how the worker is.

        False if it was given up meanwhile: its tasks are no longer its own.
        """
        return self.filter(id=id, lost_at=None).update(**lease) == 1

    def note_ending(self, id: str, now: dt.datetime) -> bool:
        """Write down since when a worker takes nothing more. False if it has no row."""
        return self.filter(id=id).update(ending_at=now) == 1

    def bury(self, id: str, now: dt.datetime) -> bool:
        """Give a lapsed worker up. True for exactly one of all who try, who then rescues what it left."""
        return self.lapsed(now).filter(id=id).update(lost_at=now) == 1

    def prune(self, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` of those given up before a moment; how many these were."""
        return delete_first(self.filter(lost_at__lt=before), limit)


class Worker(models.Model):
    """A running `manage.py runworker` with all its processes."""

    class State(models.TextChoices):
        """How one is, in one word."""

        ONLINE = "online", _("online")
        #: It takes nothing more.
        DRAINING = "draining", _("draining")
        #: It lives and receives nothing, or not all.
        TROUBLED = "troubled", _("in trouble")
        #: Its lease is over.
        LOST = "lost", _("lost")

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
    renewed_at = models.DateTimeField(_("renewed"), null=True)
    lost_at = models.DateTimeField(_("lost"), null=True)
    #: Why it receives nothing; empty while all is well.
    trouble = models.TextField(_("trouble"), blank=True, default="")
    ending_at = models.DateTimeField(
        _("ending since"),
        null=True,
        help_text=_("It takes nothing more, and ends when what it runs has ended."),
    )
    #: Both as of the latest renewal.
    busy = models.PositiveIntegerField(_("running tasks"), default=0)
    memory = models.PositiveBigIntegerField(
        _("memory"),
        null=True,
        help_text=_("Bytes of all its processes; what they share is counted for each."),
    )
    recovered = models.PositiveIntegerField(_("tasks recovered"), default=0)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        permissions = [
            ("stop_worker", "Can stop a worker"),
            ("kill_task", "Can kill a running task"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def queue_names(self) -> list[str]:
        """The queues that it was started for."""
        return self.queues.split(", ")

    @property
    def slots(self) -> int:
        """How many plain tasks it can run at a time."""
        return max(self.processes, 1) * self.threads

    @property
    def trouble_told(self) -> str:
        """Its trouble in the language of whoever looks; what no translator knows stays as it was written."""
        return _TROUBLE.sub(_translated, self.trouble)

    def busy_with(self, known: int) -> int:
        """How many tasks it runs: as of its latest renewal, or as many as are written down as begun since."""
        return max(self.busy, known)

    @property
    def state(self) -> State:
        """By this machine's clock, for display."""
        return self.state_at(clock.now())

    def state_at(self, now: dt.datetime) -> State:
        if not self.is_alive(now):
            return self.State.LOST
        if self.ending_at is not None:
            return self.State.DRAINING
        return self.State.TROUBLED if self.trouble else self.State.ONLINE

    def is_alive(self, now: dt.datetime | None = None) -> bool:
        """Without `now` by this machine's clock, for display; decisions are taken in database time."""
        return self.lost_at is None and clock.from_storage(self.lease_until) > (now or clock.now())


def _translated(found: re.Match[str]) -> str:
    said = gettext("%(what)s (%(some)s of %(all)s processes).")
    return said % {**found.groupdict(), "what": gettext(found["what"])}
