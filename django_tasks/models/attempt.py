"""TaskAttempt: one run of a task that did not simply succeed, kept beside the row that tells how it ended at last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Self

from django.db import connections, models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_tasks.message import fingerprint

from . import inserting
from .batches import batch_size, slices

#: Attempts kept of one task: its first ones, which tell how it began, and the latest, which tell how it is.
#: Those between them go: a task that is tried again for ever must not fill the table.
FIRST_KEPT, LAST_KEPT = 10, 40
MOST_KEPT = FIRST_KEPT + LAST_KEPT
#: How many more there may be before somebody looks, so that not each of the many is looked at.
TRIMMED_EVERY = 10
#: Characters of a message and of a traceback, the end of which says most.
LONGEST_MESSAGE = 1_000
LONGEST_TRACEBACK = 10_000


class TaskAttemptQuerySet(models.QuerySet["TaskAttempt"]):
    def of_task(self, id: str) -> Self:
        """The attempts of a task, the first one first. By an index."""
        return self.filter(task_id=id).order_by("id")

    def insert(self, rows: Sequence[TaskAttempt]) -> None:
        """Write these, and forget what is too much of tasks that were tried many times."""
        if not rows:
            return
        inserting.write(rows, connections[self.db], at_once=batch_size(row.traceback for row in rows))
        if crowded := sorted({row.task_id for row in rows if row.may_be_too_many}):
            self._trim(crowded)

    def _trim(self, task_ids: Sequence[str]) -> None:
        for some in slices(task_ids):
            kept = self.filter(task_id__in=some).order_by("task_id", "id").values_list("task_id", "id")
            for _task, found in groupby(kept.iterator(), key=lambda pair: pair[0]):
                keys = [key for _, key in found]
                for between in slices(keys[FIRST_KEPT:-LAST_KEPT]):
                    self.filter(id__in=between).delete()

    def forget(self, task_ids: Iterable[str]) -> None:
        """Delete those of these tasks."""
        for some in slices(sorted(task_ids)):
            self.filter(task_id__in=some).delete()


class TaskAttempt(models.Model):
    """A run that failed, asked for another one, or was ended by what happened to its process.

    A run that succeeded is not here: the task's row says all of it.
    """

    class Ending(models.TextChoices):
        RETRY = "RETRY", pgettext_lazy("how a run ended", "asked to be tried again")
        FAILURE = "FAILURE", pgettext_lazy("how a run ended", "failed")
        #: Its process died, and it is run again, being `acks_late`.
        LOST = "LOST", pgettext_lazy("how a run ended", "lost its worker")
        #: The same at a shutdown, when its time of grace was over.
        CUT = "CUT", pgettext_lazy("how a run ended", "cut at a shutdown")

    id = models.BigAutoField(primary_key=True)
    task_id = models.CharField(_("task"), max_length=255, editable=False)
    number = models.PositiveIntegerField(
        _("attempt"), help_text=_("1 in the first run. One that was lost is made again under its number.")
    )
    ending = models.CharField(_("ended"), max_length=10, choices=Ending)
    worker = models.CharField(_("worker"), max_length=255, blank=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"))
    error_type = models.CharField(_("exception"), max_length=255, blank=True)
    message = models.TextField(_("message"), blank=True, help_text=_("What the exception said, shortened."))
    traceback = models.TextField(_("traceback"), blank=True, help_text=_("Shortened in the middle."))
    fingerprint = models.CharField(_("kind of failure"), max_length=fingerprint.LENGTH, editable=False)

    objects = TaskAttemptQuerySet.as_manager()

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        indexes = [models.Index(fields=["task_id"], name="django_tasks_attempt_task")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.number}: {self.error_type}"

    @property
    def may_be_too_many(self) -> bool:
        """Is it time to look how many there are of its task? One that was lost does not count by its number."""
        if self.ending in (self.Ending.LOST, self.Ending.CUT):
            return True
        return self.number > MOST_KEPT and self.number % TRIMMED_EVERY == 0
