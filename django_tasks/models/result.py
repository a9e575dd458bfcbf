"""TaskResult: the truth about one run of a task."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_tasks import clock, states
from django_tasks.exceptions import DecodeError, NotSigned
from django_tasks.message import fingerprint, signing
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode
from django_tasks.message.serialization import name_of

from . import inserting
from .indexes import PartlyIndexed, sparse
from .result_claims import Claims, worker_of
from .result_ends import Change, EndedResults
from .result_waits import LOST_AFTER, awaited_from

__all__ = ["LOST_AFTER", "Change", "Claims", "TaskResult", "TaskResultQuerySet", "awaited_from"]


class TaskResultQuerySet(EndedResults):
    """All that can be asked of tasks, and done to their rows: each file from which it inherits is about one thing."""


class TaskResult(PartlyIndexed):
    """One task that was sent: how to run it, who runs it, how it ended."""

    id = models.CharField(_("id"), max_length=255, primary_key=True)
    task = models.CharField(_("task"), max_length=255)
    status = models.CharField(_("status"), max_length=50, default=states.PENDING)
    queue = models.CharField(_("queue"), max_length=100)
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("0 is served first, 9 last."))
    args = models.TextField(_("positional arguments"), blank=True, help_text=_("Shortened, without secrets."))
    kwargs = models.TextField(_("keyword arguments"), blank=True, help_text=_("Shortened, without secrets."))
    message = models.TextField(
        _("message"), help_text=_("The order as it was sent, from which it can be sent again.")
    )
    awaited_at = models.DateTimeField(
        _("awaited"),
        null=True,
        editable=False,
        help_text=_("From when on it may have been lost by its broker."),
    )
    claimed_by = models.CharField(_("claimed by"), max_length=64, null=True, editable=False)  # noqa: DJ001 - see claim
    worker = models.CharField(_("worker"), max_length=255, blank=True)
    retries = models.PositiveIntegerField(
        _("retries"), default=0, help_text=_("Runs that asked for another one.")
    )
    terminate = models.BooleanField(_("terminate"), default=False, help_text=_("Somebody asked to stop it."))
    crashes = models.PositiveSmallIntegerField(
        _("crashes"), default=0, help_text=_("Processes that died running it.")
    )
    parent_id = models.CharField(_("sent by"), max_length=255, null=True, editable=False)  # noqa: DJ001 - see the index
    root_id = models.CharField(_("begun by"), max_length=255, blank=True, editable=False)
    group_id = models.CharField(_("group"), max_length=255, null=True, editable=False)  # noqa: DJ001
    group_index = models.PositiveIntegerField(_("place in the group"), null=True, editable=False)
    aborted = models.BooleanField(
        _("aborted"), default=False, editable=False, help_text=_("Its body was asked to stop.")
    )
    result = models.TextField(_("result"), null=True)  # noqa: DJ001 - no result is not an empty one
    traceback = models.TextField(_("traceback"), null=True)  # noqa: DJ001
    created_at = models.DateTimeField(_("sent"))
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    fingerprint = models.CharField(  # noqa: DJ001 - only a failure has one; see the index
        _("kind of failure"), max_length=fingerprint.LENGTH, null=True, editable=False
    )
    user_id = models.CharField(_("user"), max_length=255, null=True, editable=False)  # noqa: DJ001
    request_id = models.CharField(_("request"), max_length=255, null=True, editable=False)  # noqa: DJ001
    subject_type = models.CharField(  # noqa: DJ001
        _("kind of subject"), max_length=255, null=True, editable=False
    )
    subject_id = models.CharField(_("subject"), max_length=255, null=True, editable=False)  # noqa: DJ001

    objects = TaskResultQuerySet.as_manager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        permissions = [
            ("retry_task", "Can send a task again"),
            ("cancel_task", "Can cancel a task"),
            ("reschedule_task", "Can change when a task runs, its queue and its priority"),
            ("enqueue_task", "Can send a new task"),
            ("view_payload", "Can see the arguments and results of tasks"),
        ]
        indexes = [
            # The newest first; one task's newest first; and those that are not simply done.
            models.Index(fields=["created_at", "queue"], name="django_tasks_result_new"),
            models.Index(fields=["task", "created_at"], name="django_tasks_result_task"),
            models.Index(
                fields=["status", "created_at"],
                condition=~Q(status=states.SUCCESS),
                name="django_tasks_result_status",
            ),
            # Who owns what: only rows being run are in it, so it stays small beside any history.
            sparse("claimed_by", having="claimed_by", name="django_tasks_result_owner"),
            # What a broker may have lost: with the embedded one nothing is in it.
            sparse("queue", "awaited_at", having="awaited_at", name="django_tasks_result_lost"),
            # What a task sent; and what has ended, the oldest first, to be deleted one day.
            sparse("parent_id", having="parent_id", name="django_tasks_result_parent"),
            # What counts for a group, in its order.
            sparse("group_id", "group_index", having="group_id", name="django_tasks_result_group"),
            sparse("finished_at", having="finished_at", name="django_tasks_result_end"),
            # The failures of one kind; and what was sent about an object of the project, the newest first.
            sparse("fingerprint", "finished_at", having="fingerprint", name="django_tasks_result_failed"),
            sparse(
                "subject_type",
                "subject_id",
                "created_at",
                having="subject_id",
                name="django_tasks_result_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @classmethod
    def of(cls, message: TaskMessage, envelope: Envelope) -> Self:
        """The row of a task that is sent, or that a foreign program has sent, now."""
        return inserting.new(
            cls,
            id=message.id,
            task=message.task,
            queue=message.queue,
            priority=message.priority,
            args=message.argsrepr,
            kwargs=message.kwargsrepr,
            message=envelope.to_text(),
            parent_id=message.parent_id,
            root_id=message.root_id,
            group_id=message.group,
            # A foreign sender may not say which place; rows of a group are paged by it.
            group_index=message.group_index or (0 if message.group else None),
            **_known_of(message),
            awaited_at=awaited_from(message.eta),
            created_at=clock.to_storage(clock.now()),
        )

    def order(self, accept: Collection[str] | None = None) -> TaskMessage | None:
        """Its message, if it can be read: anybody with access to the table may have written it.

        `accept`: the serializers to be read; without, whatever it was sent with, for it was accepted then.
        """
        with contextlib.suppress(DecodeError, ValueError, KeyError, TypeError):
            envelope = Envelope.from_text(self.message)
            return decode(envelope, queue=self.queue, accept=accept or {name_of(envelope.content_type)})
        return None

    def is_signed(self) -> bool:
        """Would a worker that wants signatures take its message?"""
        try:
            signing.check(Envelope.from_text(self.message))
        except (NotSigned, ValueError, KeyError, TypeError):
            return False
        return True

    def to_message(self) -> TaskMessage:
        """Its message; of one that cannot be read, what the row itself says."""
        return self.order() or TaskMessage(
            id=self.id, task=self.task, queue=self.queue, retries=self.retries, group=self.group_id
        )

    @property
    def owning_worker(self) -> str:
        """The key of the worker whose process has claimed it."""
        return worker_of(self.claimed_by or "")

    @property
    def is_final(self) -> bool:
        return self.status in states.FINAL_STATES

    @property
    def wait_time(self) -> dt.timedelta | None:
        """From being sent to the first line of the body."""
        return None if self.started_at is None else self.started_at - self.created_at

    @property
    def run_time(self) -> dt.timedelta | None:
        """From the first line of the body to its end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


def _known_of(message: TaskMessage) -> dict[str, Any]:
    """Who asked for it and what it is about: of most tasks nothing is said, and nothing is done then."""
    found: dict[str, Any] = {}
    if message.asked is not None:
        found |= {"user_id": message.asked.user_id, "request_id": message.asked.request_id}
    if message.subject is not None:
        found["subject_type"], found["subject_id"] = message.subject
    return found
