"""WorkerCommand: something asked of one running worker, and what it answered."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from typing import Any, Self

from django.db import connections, models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_tasks import clock

from .indexes import PartlyIndexed
from .pruning import delete_first
from .watch import ANSWERS, COMMANDS, announce


class WorkerCommandQuerySet(models.QuerySet["WorkerCommand"]):
    def ask(self, worker_ids: Collection[str], method: str, arguments: Mapping[str, Any]) -> list[int]:
        """Ask the same of each of these workers; the keys of the rows."""
        now = clock.to_storage(clock.now())
        with transaction.atomic(using=self.db, savepoint=False):
            # One by one: not every database tells the keys of rows inserted together, and workers are few.
            rows = [
                self.create(worker_id=id, method=method, arguments=dict(arguments), asked_at=now)
                for id in worker_ids
            ]
            if rows:
                announce(connections[self.db], COMMANDS)
        return [row.pk for row in rows]

    def unanswered(self) -> Self:
        return self.filter(answered_at=None)

    def asked_of(self, worker_id: str) -> Self:
        """What this worker has still to answer, in the order it was asked."""
        return self.unanswered().filter(worker_id=worker_id).order_by("id")

    def answer(self, id: int, answer: object) -> None:
        """Record what a worker answers, for whoever waits for it."""
        with transaction.atomic(using=self.db, savepoint=False):
            self.unanswered().filter(id=id).update(
                answer=json.dumps(answer), answered_at=clock.to_storage(clock.now())
            )
            announce(connections[self.db], ANSWERS)

    def answers(self, ids: Collection[int]) -> dict[str, Any]:
        """What was answered to these commands so far, by the worker's id."""
        given = self.filter(id__in=sorted(ids), answered_at__isnull=False)
        answers = given.values_list("worker_id", "answer")
        return {worker: json.loads(text) for worker, text in answers if text is not None}

    def prune(self, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` of those asked before a moment, answered or not; how many these were."""
        return delete_first(self.filter(asked_at__lt=before).order_by("id"), limit)


class WorkerCommand(PartlyIndexed):
    """A command to one worker."""

    id = models.BigAutoField(primary_key=True)
    worker_id = models.CharField(_("worker"), max_length=32, editable=False)
    method = models.CharField(_("command"), max_length=100)
    arguments = models.JSONField(_("arguments"), default=dict)
    #: JSON as text: in PostgreSQL's JSON there is no NUL, and the answer may quote one.
    answer = models.TextField(_("answer"), null=True)  # noqa: DJ001 - no answer is not an empty one
    asked_at = models.DateTimeField(_("asked"))
    answered_at = models.DateTimeField(_("answered"), null=True)

    objects = WorkerCommandQuerySet.as_manager()

    class Meta:
        verbose_name = _("command to a worker")
        verbose_name_plural = _("commands to workers")
        indexes = [
            models.Index(
                fields=["worker_id"], condition=Q(answered_at__isnull=True), name="django_tasks_command_asked"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} to {self.worker_id}"
