"""Failures of one kind: what they have in common, how many there were, and what somebody said about them.

Who settles tasks must not wait for others that do so: of one kind there may be thousands a second, and a row that all
of them count in would be locked by one after the other. So a settlement adds rows of its own, `FailureTally`, one for
each kind in its batch, and a housekeeper counts these together, each exactly once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from django.db import connections, models, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _

from django_tasks import clock
from django_tasks.message import fingerprint

from . import inserting
from .batches import MOST_ROWS
from .locking import begin_to_write, lock_free
from .pruning import delete_first

#: How long nothing of a kind must have happened for it to be forgotten, with what was said about it.
KEPT = dt.timedelta(days=30)
#: How long it is known how many there were in each hour.
HOURS_KEPT = dt.timedelta(days=8)
#: Of so many hours up to now it is told how many there were.
HOURS_SHOWN = 24
#: Later than anything.
NEVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Some failures of one kind, and what the last of them said."""

    fingerprint: str
    task: str
    error_type: str
    sample: str
    first_at: Any
    last_at: Any
    count: int = 1

    def and_then(self, other: Failures) -> Failures:
        """Both together."""
        later = max(self, other, key=lambda some: some.last_at)
        first = min(self.first_at, other.first_at)
        return replace(later, first_at=first, count=self.count + other.count)


def together(failures: Iterable[Failures]) -> dict[str, Failures]:
    """Those of each kind together, by fingerprint and in its order: everybody locks the kinds in the same one."""
    found: dict[str, Failures] = {}
    for some in failures:
        before = found.get(some.fingerprint)
        found[some.fingerprint] = some if before is None else before.and_then(some)
    return dict(sorted(found.items()))


class FailureTallyQuerySet(models.QuerySet["FailureTally"]):
    def insert(self, failures: Iterable[Failures]) -> None:
        """Note these for whoever counts. One statement, and nobody waits for it."""
        rows = [FailureTally.of(some) for some in together(failures).values()]
        if rows:
            inserting.write(rows, connections[self.db], at_once=MOST_ROWS)

    def count_in(self, limit: int = MOST_ROWS) -> int:
        """Count at most `limit` of the notes in their groups, and say how many these were.

        Others that count at the same time pass over them.
        """
        if not self.exists():  # no lock is taken for nothing
            return 0
        with transaction.atomic(using=self.db):
            begin_to_write(self)
            rows = list(lock_free(self.order_by("id"))[:limit])
            failures = [row.failures() for row in rows]
            FailureGroup.objects.using(self.db).add(together(failures))
            FailureHour.objects.using(self.db).add(failures)
            self.filter(id__in=[row.id for row in rows]).delete()
        return len(rows)


class FailureTally(models.Model):
    """So many failures of one kind, in one batch of ended tasks: a note for whoever counts them."""

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=fingerprint.LENGTH)
    task = models.CharField(max_length=255)
    error_type = models.CharField(max_length=255)
    sample = models.TextField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField()

    objects = FailureTallyQuerySet.as_manager()

    class Meta:
        verbose_name = _("failures to be counted")
        verbose_name_plural = _("failures to be counted")

    def __str__(self) -> str:
        return f"{self.count} × {self.fingerprint}"  # noqa: RUF001 - it is a times sign

    @classmethod
    def of(cls, failures: Failures) -> Self:
        return cls(**{name: getattr(failures, name) for name in Failures.__slots__})

    def failures(self) -> Failures:
        return Failures(**{name: getattr(self, name) for name in Failures.__slots__})


class FailureGroupQuerySet(models.QuerySet["FailureGroup"]):
    def open(self) -> Self:
        """Kinds that nobody has acknowledged since they were last seen, and that are not muted."""
        return self.filter(Q(acknowledged_at=None) | Q(last_seen__gt=F("acknowledged_at")), muted=False)

    def newest_first(self, before: dt.datetime | None = None) -> Self:
        """Those last seen before a moment, or all; the one that came last first: the order of an index."""
        # MariaDB sorts the whole table instead, unless the index also finds the rows. Of all it finds all.
        return self.filter(last_seen__lt=before or clock.to_storage(NEVER)).order_by("-last_seen")

    def with_hours(self, now: dt.datetime) -> Self:
        """Each with how many there were lately: in its `hours`, and `last_week`. By the index of kinds and hours."""
        last = hour_of(now)
        counted = FailureHour.objects.using(self.db).filter(fingerprint=OuterRef("fingerprint"))
        week = counted.filter(hour__gt=last - dt.timedelta(days=7)).values("fingerprint")
        hours = {
            f"hour_{back}": Subquery(counted.filter(hour=last - dt.timedelta(hours=back)).values("count"))
            for back in range(HOURS_SHOWN)
        }
        return self.annotate(
            **hours, last_week=Subquery(week.annotate(sum=models.Sum("count")).values("sum"))
        )

    def add(self, kinds: Mapping[str, Failures]) -> None:
        """Count failures in their groups, and make those that there are not yet. Part of a transaction."""
        if not kinds:
            return
        known = set(self.filter(fingerprint__in=list(kinds)).values_list("fingerprint", flat=True))
        new = [FailureGroup.of(kind) for key, kind in kinds.items() if key not in known]
        self.bulk_create(new, ignore_conflicts=True)  # another one may make them as well
        rows = list(self.filter(fingerprint__in=list(kinds)).order_by("fingerprint").select_for_update())
        for row in rows:
            row.take(kinds[row.fingerprint])
        self.bulk_update(rows, ["count", "first_seen", "last_seen", "sample"], batch_size=100)

    def acknowledge(self, moment: dt.datetime, who: str, note: str) -> int:
        """Say that somebody knows. What comes after this moment is news again."""
        return self.update(acknowledged_at=moment, acknowledged_by=who, note=note)

    def mute(self, *, muted: bool) -> int:
        return self.update(muted=muted)

    def prune(self, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` of those not seen since a moment; how many these were."""
        return delete_first(self.filter(last_seen__lt=before), limit)


class FailureGroup(models.Model):
    """All failures of one kind: the same exception of the same task, at the same place, in much the same words."""

    fingerprint = models.CharField(_("fingerprint"), max_length=fingerprint.LENGTH, primary_key=True)
    task = models.CharField(_("task"), max_length=255)
    error_type = models.CharField(_("exception"), max_length=255)
    sample = models.TextField(_("message"), blank=True, help_text=_("What the last of them said, shortened."))
    count = models.PositiveBigIntegerField(_("failures"), default=0)
    first_seen = models.DateTimeField(_("first seen"))
    last_seen = models.DateTimeField(_("last seen"))
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=255, blank=True)
    note = models.CharField(_("note"), max_length=1000, blank=True)
    muted = models.BooleanField(_("muted"), default=False, help_text=_("It is counted, and shown last."))

    #: How many there were in 7 days (`with_hours`).
    last_week: int | None

    objects = FailureGroupQuerySet.as_manager()

    class Meta:
        verbose_name = _("kind of failure")
        verbose_name_plural = _("kinds of failures")
        indexes = [models.Index(fields=["last_seen"], name="django_tasks_failure_seen")]

    def __str__(self) -> str:
        return f"{self.error_type} in {self.task}"

    @classmethod
    def of(cls, kind: Failures) -> Self:
        """One of which nothing is counted yet."""
        return cls(
            fingerprint=kind.fingerprint,
            task=kind.task,
            error_type=kind.error_type,
            sample=kind.sample,
            first_seen=kind.first_at,
            last_seen=kind.last_at,
        )

    def take(self, more: Failures) -> None:
        self.count += more.count
        self.first_seen = min(self.first_seen, more.first_at)
        if more.last_at >= self.last_seen:
            self.last_seen, self.sample = more.last_at, more.sample

    @property
    def hours(self) -> list[int]:
        """How many there were in each of the last 24 hours, the one under way last (`with_hours`)."""
        return [getattr(self, f"hour_{back}") or 0 for back in reversed(range(HOURS_SHOWN))]

    @property
    def is_open(self) -> bool:
        """Is it news to somebody?"""
        return not self.muted and (self.acknowledged_at is None or self.last_seen > self.acknowledged_at)


class FailureHourQuerySet(models.QuerySet["FailureHour"]):
    def add(self, failures: Sequence[Failures]) -> None:
        """Count these in their hours, by their last one. Part of a transaction."""
        counts: dict[tuple[str, dt.datetime], int] = {}
        for some in failures:
            key = (some.fingerprint, hour_of(some.last_at))
            counts[key] = counts.get(key, 0) + some.count
        if not counts:
            return
        ordered = sorted(counts)
        made = [FailureHour(fingerprint=kind, hour=hour) for kind, hour in ordered]
        self.bulk_create(made, ignore_conflicts=True)
        wanted = {hour for _, hour in ordered}
        rows = self.filter(fingerprint__in=sorted({kind for kind, _ in ordered}), hour__in=sorted(wanted))
        found = list(rows.order_by("fingerprint", "hour").select_for_update())
        for row in found:
            row.count += counts.get((row.fingerprint, row.hour), 0)
        self.bulk_update(found, ["count"], batch_size=100)

    def prune(self, before: dt.datetime, limit: int) -> int:
        return delete_first(self.filter(hour__lt=before), limit)


class FailureHour(models.Model):
    """How many failures of one kind there were in one hour."""

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=fingerprint.LENGTH)
    hour = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=0)

    objects = FailureHourQuerySet.as_manager()

    class Meta:
        verbose_name = _("failures in an hour")
        verbose_name_plural = _("failures in hours")
        constraints = [
            models.UniqueConstraint(fields=["fingerprint", "hour"], name="django_tasks_failure_hour")
        ]
        indexes = [models.Index(fields=["hour"], name="django_tasks_failure_hours")]

    def __str__(self) -> str:
        return f"{self.count} × {self.fingerprint} {self.hour}"  # noqa: RUF001


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)
