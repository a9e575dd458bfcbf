"""TaskResult: the truth about one run of a task."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.core import checks
from django.db import connections, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from django_tasks import clock, states
from django_tasks.exceptions import DecodeError
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode
from django_tasks.message.serialization import name_of

from . import recording
from .batches import MOST_ROWS, batch_size
from .group import TaskGroup

#: How far `came_of` follows who sent whom: long chains are cut there.
GENERATIONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a task process has to say about a row it owns: started, ended, or to be run again.

    `owner` is who owns the row afterwards: nobody once it is final or goes back to its queue.
    """

    id: str
    status: str
    owner: str | None = None
    result: str | None = None
    traceback: str | None = None
    worker: str = ""
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None


class TaskResultQuerySet(models.QuerySet["TaskResult"]):
    def final(self) -> Self:
        """Rows to which nothing more will happen."""
        return self.filter(status__in=states.FINAL_STATES)

    def not_final(self) -> Self:
        return self.exclude(status__in=states.FINAL_STATES)

    def waiting(self) -> Self:
        """Rows that nobody owns and that are still to be run."""
        return self.filter(claimed_by=None).exclude(status__in=states.FINAL_STATES)

    def with_status(self, status: str) -> Self:
        """Rows of one status, by the index of those that are not simply done."""
        rows = self.filter(status=status)
        if status == states.SUCCESS or connections[self.db].vendor != "sqlite":
            return rows
        # SQLite takes a partial index only where its condition stands in the query, however plain it is. PostgreSQL
        # needs no telling, and told it expects far fewer rows than there are.
        return rows.exclude(status=states.SUCCESS)

    def of_tasks_named(self, beginning: str) -> Self:
        """Rows of the tasks whose name begins so, task by task, each's newest first: the order of an index.

        LIKE alone finds no index: Django's ignores case on SQLite, compares bytes on MariaDB, and wants another
        kind of index on PostgreSQL. A range has one everywhere. It ends with the last character there is, not with
        the one after the prefix's last: by the collations of languages nothing follows "z", and "9" follows ":".
        By those the range is also too wide, as case and accents count little; LIKE corrects that. So case matters
        on every database.
        """
        named = self.filter(task__gte=beginning, task__lt=f"{beginning}\uffff", task__startswith=beginning)
        return named.order_by("-task", "-created_at", "-pk")

    def owned_by(self, owner: str) -> Self:
        return self.filter(claimed_by=owner)

    def owners(self) -> list[str]:
        """Everybody who owns a row. Cheap however long the history is: the index holds claimed rows only."""
        owned = self.filter(claimed_by__isnull=False).order_by()
        return [owner for owner in owned.values_list("claimed_by", flat=True).distinct() if owner]

    def members(self, group_id: str) -> Self:
        """The rows that count for a group, in its order."""
        return self.filter(group_id=group_id).order_by("group_index", "created_at", "id")

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of the ids that have a row."""
        found: set[str] = set()
        ordered = sorted(ids)
        for start in range(0, len(ordered), MOST_ROWS):
            some = ordered[start : start + MOST_ROWS]
            found.update(self.filter(id__in=some).values_list("id", flat=True))
        return found

    def came_of(self, id: str, most: int = MOST_ROWS) -> Self:
        """A task, what it sent, what these sent, and so on: the nearest `most`. By the index of parents.

        A query for each generation, and no more than `GENERATIONS`.
        """
        found, generation = {id: None}, [id]
        for _generation in range(GENERATIONS):
            sent = TaskResult.objects.using(self.db).filter(parent_id__in=generation)
            generation = list(sent.values_list("id", flat=True)[: most - len(found)])
            found.update(dict.fromkeys(generation))
            if not generation:
                break
        return self.filter(id__in=list(found))

    def insert(self, rows: Sequence[TaskResult]) -> None:
        self.bulk_create(rows, batch_size=batch_size(row.message for row in rows))

    def claim(self, ids: Collection[str], owner: str) -> set[str]:
        """Make the waiting rows among `ids` the owner's, and say which these are.

        Rows that are final, revoked or owned are left alone: their delivery is void. So is that of a row which this
        very owner claimed before: it runs already.
        """
        among = self.filter(id__in=sorted(ids))
        # By a read without locks: what is this owner's already, nobody else changes. Two statements as a rule.
        before = set(among.owned_by(owner).values_list("id", flat=True))
        claimed = among.waiting().update(claimed_by=owner)
        if claimed == len(ids) - len(before):
            return set(ids) - before
        return set(among.owned_by(owner).values_list("id", flat=True)) - before

    def record(self, changes: Sequence[Change], owner: str) -> set[str]:
        """Write the changes to the rows that `owner` still owns, and say which these were.

        A late owner's word is not taken (DESIGN §6): what is missing from the answer must be dropped, with all that
        would have followed from it. The number of statements does not depend on the number of changes.
        """
        if not changes:
            return set()
        # A task may be said to have started and to have ended in one breath: its end is what counts.
        last = {change.id: change for change in sorted(changes, key=lambda change: change.owner is None)}
        with transaction.atomic(using=self.db, savepoint=False):
            return recording.write(self, list(last.values()), owner, connections[self.db])

    def release(self, ids: Collection[str], owner: str) -> list[TaskResult]:
        """Give up the owner's rows among `ids`, as if never claimed; they come back to be sent again."""
        with transaction.atomic(using=self.db, savepoint=False):
            rows = list(self.owned_by(owner).filter(id__in=sorted(ids)).select_for_update())
            self.filter(id__in=[row.id for row in rows]).update(
                claimed_by=None, status=states.PENDING, result=None, started_at=None, worker=""
            )
        return rows

    def vacate(self, id: str, owner: str) -> bool:
        """Remove the row of a task that the owner runs, for another task to take its place. False if it is not his."""
        return bool(self.owned_by(owner).filter(id=id).delete()[0])

    def adopt(self, rows: Sequence[TaskResult], owner: str) -> set[str]:
        """Make rows for tasks that came without one, from a foreign sender, owned from the start."""
        for row in rows:
            row.claimed_by = owner
        size = batch_size(row.message for row in rows)
        self.bulk_create(rows, ignore_conflicts=True, batch_size=size)
        return set(self.owned_by(owner).filter(id__in=[row.id for row in rows]).values_list("id", flat=True))

    def reorder(self, orders: Mapping[str, tuple[str, int]]) -> None:
        """Make the rows with these ids orders for the next run: its message, and how many runs were retried."""
        rows = [
            self.model(id=id, message=message, retries=retries) for id, (message, retries) in orders.items()
        ]
        self.bulk_update(rows, ["message", "retries"], batch_size=100)

    def prune(self, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` of the rows that ended before a moment, the oldest first; how many these were.

        Nothing is locked while they are looked for, and whoever looks for the same rows finds them gone.
        """
        # What goes to the body of a chord is kept until that is sent.
        held = Exists(TaskGroup.objects.using(self.db).unfinished().filter(id=OuterRef("group_id")))
        ended = self.final().filter(~held, finished_at__lt=before).order_by("finished_at")
        ids = sorted(ended.values_list("id", flat=True)[:limit])
        return self.filter(id__in=ids).delete()[0] if ids else 0

    def count_crash(self, ids: Collection[str], owner: str) -> None:
        """Another process died while it ran these."""
        self.owned_by(owner).filter(id__in=sorted(ids)).update(crashes=models.F("crashes") + 1)

    def ask_to_terminate(self, ids: Iterable[str]) -> int:
        """Have whoever runs these tasks stop them. Those that wait are not touched."""
        owned = self.filter(id__in=list(ids), claimed_by__isnull=False)
        return owned.exclude(status__in=states.FINAL_STATES).update(terminate=True)

    def to_terminate(self, owners: Collection[str]) -> list[str]:
        """What these owners are asked to stop."""
        rows = self.filter(claimed_by__in=sorted(owners), terminate=True)
        return list(rows.values_list("id", flat=True))

    def lock_waiting(self, ids: Collection[str]) -> list[str]:
        """Those of these rows that wait; until the transaction ends nobody claims them."""
        waiting = self.filter(id__in=sorted(ids)).waiting()
        if connections[self.db].vendor == "sqlite":
            # A transaction that reads first cannot wait for another writer when it comes to write; it fails.
            waiting.update(claimed_by=None)
        return list(waiting.order_by("id").select_for_update().values_list("id", flat=True))

    def revoke(self, ids: Iterable[str], result: str) -> int:
        """End the waiting rows among `ids` as REVOKED; rows being run or final are left alone."""
        return (
            self.filter(id__in=list(ids))
            .waiting()
            .update(status=states.REVOKED, result=result, finished_at=clock.to_storage(clock.now()))
        )


class TaskResult(models.Model):
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

    objects = TaskResultQuerySet.as_manager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
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
            models.Index(
                fields=["claimed_by"], condition=Q(claimed_by__isnull=False), name="django_tasks_result_owner"
            ),
            # What a task sent; and what has ended, the oldest first, to be deleted one day.
            models.Index(
                fields=["parent_id"], condition=Q(parent_id__isnull=False), name="django_tasks_result_parent"
            ),
            # What counts for a group, in its order.
            models.Index(
                fields=["group_id", "group_index"],
                condition=Q(group_id__isnull=False),
                name="django_tasks_result_group",
            ),
            models.Index(
                fields=["finished_at"], condition=Q(finished_at__isnull=False), name="django_tasks_result_end"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @classmethod
    def of(cls, message: TaskMessage, envelope: Envelope) -> Self:
        """The row of a task that is sent, or that a foreign program has sent, now."""
        return cls(
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
            group_index=message.group_index,
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

    def to_message(self) -> TaskMessage:
        """Its message; of one that cannot be read, what the row itself says."""
        return self.order() or TaskMessage(
            id=self.id, task=self.task, queue=self.queue, retries=self.retries, group=self.group_id
        )

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

    @classmethod
    def check(cls, **kwargs: Any) -> list[checks.CheckMessage]:
        # MariaDB and MySQL have no partial indexes and make full ones, which serve as well.
        return [message for message in super().check(**kwargs) if message.id != "models.W037"]
