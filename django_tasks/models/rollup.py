"""TaskRollup: what ended in a minute, an hour or a day, in numbers. And how far they are counted: RollupMark.

No page can add up a million rows each time somebody looks at it; and figures stay when rows are deleted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Self

from django.db import connections, models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_tasks import clock

from .batches import slices
from .ends import ALL_TASKS, KEPT, Key, Span
from .figures import Figures, Spans

#: What `add` writes.
FIGURES = ("succeeded", "failed", "others", "retries", "run_time", "wait", "run_histogram", "wait_histogram")


class TaskRollupQuerySet(models.QuerySet["TaskRollup"]):
    def of_all_tasks(self) -> Self:
        """Queue by queue, whatever the task."""
        return self.filter(task=ALL_TASKS)

    def of_each_task(self) -> Self:
        return self.exclude(task=ALL_TASKS)

    def ever(self) -> Self:
        """Counts that only grow: since the first task."""
        return self.filter(span=Span.EVER)

    def begun_since(self, span: Span, moment: dt.datetime) -> Self:
        """The spans of one length from the one on in which this moment is."""
        return self.filter(span=span, starts_at__gte=clock.to_storage(span.start(moment)))

    def looking_back(self, now: dt.datetime, span: Span, since: dt.datetime) -> Self:
        """All tasks together: the last 24 hours to the minute, and spans of one length since a moment."""
        day = now - dt.timedelta(hours=24)
        first_hour = Span.HOUR.start(day) + dt.timedelta(hours=1)
        minutes = (clock.to_storage(Span.MINUTE.start(day)), clock.to_storage(first_hour))
        lately = clock.to_storage(now - dt.timedelta(minutes=5))
        return self.of_all_tasks().filter(
            Q(span=Span.HOUR, starts_at__gte=clock.to_storage(Span.HOUR.start(day)))
            | Q(span=Span.MINUTE, starts_at__gte=minutes[0], starts_at__lt=minutes[1])
            | Q(span=Span.MINUTE, starts_at__gte=lately)
            | Q(span=span, starts_at__gte=clock.to_storage(since))
        )

    def add(self, figures: Mapping[Key, Figures]) -> None:
        """Add these figures to those that are stored. Must be part of the transaction that moves the mark."""
        for keys in slices(sorted(figures)):
            rows = self._stored(list(keys))
            for key in keys:
                # As stored: in a project without time zones the hour after summer time has its namesake's row.
                stored = key._replace(starts_at=clock.to_storage(key.starts_at))
                rows.setdefault(stored, TaskRollup(**stored._asdict())).add(figures[key])
            # Rows for INSERT have no key of their own: which one it is, is for the database to find.
            changed = [row.without_id() for key, row in sorted(rows.items())]
            targets = connections[self.db].features.supports_update_conflicts_with_target
            self.bulk_create(
                changed,
                update_conflicts=True,
                update_fields=FIGURES,
                unique_fields=Key._fields if targets else None,
            )

    def _stored(self, keys: list[Key]) -> dict[Key, TaskRollup]:
        """Those rows of the keys that there are."""
        wanted = {key._replace(starts_at=clock.to_storage(key.starts_at)) for key in keys}
        starts = {span: sorted({key.starts_at for key in wanted if key.span == span}) for span in Span}
        begun = [Q(span=span, starts_at__in=moments) for span, moments in starts.items() if moments]
        # Of the span that holds everything there is but one start, with all the tasks that ever were.
        stored = self.filter(reduce(or_, begun), task__in={key.task for key in wanted})
        return {row.key: row for row in stored if row.key in wanted}

    def prune(self, now: dt.datetime) -> int:
        """Delete what is older than is kept; how many rows these were."""
        return sum(
            self.filter(span=span, starts_at__lt=clock.to_storage(now - kept)).delete()[0]
            for span, kept in KEPT.items()
        )


class TaskRollup(models.Model):
    """What ended in one span of time, of a task (or of all) in a queue."""

    id = models.BigAutoField(primary_key=True)
    span = models.PositiveIntegerField(_("span"), choices=Span.choices, help_text=_("Seconds."))
    starts_at = models.DateTimeField(_("starts"))
    task = models.CharField(_("task"), max_length=255, blank=True, help_text=_("Empty: all of them."))
    queue = models.CharField(_("queue"), max_length=100)
    succeeded = models.PositiveBigIntegerField(_("succeeded"), default=0)
    failed = models.PositiveBigIntegerField(_("failed"), default=0)
    others = models.PositiveBigIntegerField(_("ended otherwise"), default=0)
    retries = models.PositiveBigIntegerField(_("retries"), default=0)
    run_time = models.PositiveBigIntegerField(_("run time"), default=0, help_text=_("Microseconds."))
    wait = models.PositiveBigIntegerField(_("wait"), default=0, help_text=_("Microseconds."))
    run_histogram = models.TextField(_("run times"), default="", blank=True)
    wait_histogram = models.TextField(_("waits"), default="", blank=True)

    objects = TaskRollupQuerySet.as_manager()

    class Meta:
        verbose_name = _("figures of tasks")
        verbose_name_plural = _("figures of tasks")
        constraints = [
            # The course of one task, or of all.
            models.UniqueConstraint(
                fields=["span", "task", "starts_at", "queue"], name="django_tasks_rollup_one"
            )
        ]
        # Everything of one time.
        indexes = [models.Index(fields=["span", "starts_at"], name="django_tasks_rollup_time")]

    def __str__(self) -> str:
        return f"{self.task or '*'} {self.queue} {self.starts_at} ({self.span} s)"

    @property
    def key(self) -> Key:
        return Key(Span(self.span), self.starts_at, self.task, self.queue)

    @property
    def figures(self) -> Figures:
        return Figures(
            succeeded=self.succeeded,
            failed=self.failed,
            others=self.others,
            retries=self.retries,
            run_time=Spans.read(self.run_time, self.run_histogram),
            wait=Spans.read(self.wait, self.wait_histogram),
        )

    def add(self, more: Figures) -> None:
        total = self.figures
        total.add(more)
        self.succeeded, self.failed, self.others = total.succeeded, total.failed, total.others
        self.retries = total.retries
        self.run_time, self.run_histogram = total.run_time.total, total.run_time.text
        self.wait, self.wait_histogram = total.wait.total, total.wait.text

    def without_id(self) -> Self:
        self.pk = None
        return self


class RollupMarkQuerySet(models.QuerySet["RollupMark"]):
    def read(self) -> RollupMark:
        """The one row there is; before the first count one that is nowhere yet."""
        return self.first() or RollupMark(id=RollupMark.THE_ONE)

    def move(self, mark: RollupMark, until: dt.datetime, now: dt.datetime) -> bool:
        """Move it from where it was read to `until`. True for exactly one of all who try.

        Until the transaction ends, all others wait: what is added to the figures meanwhile is added once.
        """
        moved = {"counted_until": until, "moved_at": now}
        if mark.counted_until is not None:
            return self.filter(pk=mark.pk, counted_until=mark.counted_until).update(**moved) == 1
        # Two may find none and insert: the second one waits for the first, and finds that it was not needed.
        self.bulk_create([RollupMark(id=RollupMark.THE_ONE)], ignore_conflicts=True)
        return self.filter(pk=RollupMark.THE_ONE, counted_until=None).update(**moved) == 1


class RollupMark(models.Model):
    """How far the ends of tasks are counted."""

    THE_ONE = 1

    id = models.PositiveSmallIntegerField(primary_key=True)
    counted_until = models.DateTimeField(_("counted until"), null=True)
    moved_at = models.DateTimeField(_("moved"), null=True)

    objects = RollupMarkQuerySet.as_manager()

    class Meta:
        verbose_name = _("mark of the figures")
        verbose_name_plural = _("marks of the figures")

    def __str__(self) -> str:
        return f"counted until {self.counted_until}"

    def is_moved_since(self, moment: dt.datetime) -> bool:
        return self.moved_at is not None and self.moved_at > moment


def count(
    figures: Mapping[Key, Figures], mark: RollupMark, until: dt.datetime, now: dt.datetime, using: str
) -> bool:
    """Add figures and move the mark, both or neither. False if somebody else counted these ends meanwhile."""
    with transaction.atomic(using=using, savepoint=False):
        if not RollupMark.objects.using(using).move(mark, until, now):
            return False
        TaskRollup.objects.using(using).add(figures)
        return True
