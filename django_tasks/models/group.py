"""TaskGroup: how many tasks of a group are still to end, and what is sent when none is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Self

from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from django_tasks import clock

from .batches import batch_size
from .indexes import PartlyIndexed, sparse
from .pruning import delete_first


class TaskGroupQuerySet(models.QuerySet["TaskGroup"]):
    def unfinished(self) -> Self:
        """Groups of which some tasks are still to end."""
        return self.filter(finished_at=None)

    def insert(self, rows: Sequence[TaskGroup]) -> None:
        self.bulk_create(rows, batch_size=batch_size(row.body for row in rows))

    def open_once(self, row: TaskGroup) -> None:
        """Insert it unless it is there."""
        self.bulk_create([row], ignore_conflicts=True)

    def tally(self, ended: Mapping[str, tuple[int, int]]) -> list[TaskGroup]:
        """Take tasks off what these groups wait for: of each, how many ended, and how many of them not in success.

        Answers the groups for which nothing is left to wait for now; each is answered once in its life, because the
        rows stay locked until the transaction ends. Must be part of the one that records the endings. Locked by id:
        everybody locks in the same order, and a group inside another one was given its id earlier.
        """
        rows = list(self.unfinished().filter(id__in=sorted(ended)).order_by("id").select_for_update())
        now = clock.to_storage(clock.now())
        for row in rows:
            over, failed = ended[row.id]
            row.pending -= over
            row.failed += failed
            if row.pending <= 0:
                row.finished_at = now
        if rows:
            self.bulk_update(rows, ["pending", "failed", "finished_at"])
        return [row for row in rows if row.finished_at is not None]

    def lock_unfinished(self, id: str) -> TaskGroup | None:
        """Until the transaction ends none of its tasks is counted."""
        return self.unfinished().filter(id=id).select_for_update().first()

    def recount(self, id: str, over: int, failed: int) -> TaskGroup | None:
        """Say how many tasks of an unfinished group have ended so far. Answers the group if that was all.

        To be called while it and the rows of its tasks are locked: none of them ends in between.
        """
        row = self.lock_unfinished(id)
        if row is None:
            return None
        row.pending, row.failed = row.total - over, failed
        if row.pending <= 0:
            row.finished_at = clock.to_storage(clock.now())
        row.save(using=self.db, update_fields=["pending", "failed", "finished_at"])
        return row if row.finished_at else None

    def grow(self, id: str) -> int | None:
        """Have an unfinished group wait for one more task: the place of that task, or `None` if it is too late."""
        with transaction.atomic(using=self.db, savepoint=False):
            grown = self.unfinished().filter(id=id).update(total=F("total") + 1, pending=F("pending") + 1)
            return self.get(id=id).total - 1 if grown else None

    def prune(self, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` of the groups that ended before a moment, the oldest first; how many these were."""
        return delete_first(self.filter(finished_at__lt=before).order_by("finished_at"), limit)


class TaskGroup(PartlyIndexed):
    """Tasks that were sent as one group, or as the header of a chord."""

    id = models.CharField(_("id"), max_length=255, primary_key=True)
    total = models.PositiveIntegerField(_("tasks"))
    pending = models.IntegerField(_("still to end"))
    failed = models.PositiveIntegerField(_("not in success"), default=0)
    body = models.TextField(
        _("body"), blank=True, help_text=_("The signature to which the results go, of a chord.")
    )
    parent_id = models.CharField(_("sent by"), max_length=255, null=True, editable=False)  # noqa: DJ001 - as on a task
    root_id = models.CharField(_("begun by"), max_length=255, blank=True, editable=False)
    saved = models.TextField(null=True, editable=False)  # noqa: DJ001 - what GroupResult.save() kept
    created_at = models.DateTimeField(_("sent"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects = TaskGroupQuerySet.as_manager()

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")
        indexes = [
            sparse("finished_at", having="finished_at", name="django_tasks_group_end"),
        ]

    def __str__(self) -> str:
        return f"{self.completed} of {self.total} {self.id}"

    @property
    def completed(self) -> int:
        """How many of its tasks have ended."""
        return self.total - max(0, self.pending)
