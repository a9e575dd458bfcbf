"""Which task process owns which tasks, and how they change hands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Self

from django.db import connections, models, transaction
from django.db.models import Q, Value
from django.db.models.functions import Coalesce

from django_tasks import states

from . import returning
from .among import among
from .attempt import TaskAttempt
from .result_waits import AwaitedResults, awaited_from

if TYPE_CHECKING:
    from .result import TaskResult


@dataclass(frozen=True, slots=True)
class Claims:
    """How many tasks of one name and queue a task process owns."""

    queue: str
    owner: str
    task: str
    claimed: int
    #: Of these, those that are known to have begun: of a short one it is not written down.
    begun: int

    @property
    def worker(self) -> str:
        """The key of the worker whose process it is."""
        return worker_of(self.owner)


def worker_of(owner: str) -> str:
    """The worker to which an owner of rows belongs."""
    return owner.partition(".")[0]


class ClaimedResults(AwaitedResults):
    def owned_by(self, owner: str) -> Self:
        return self.filter(claimed_by=owner)

    def owned_among(self, ids: Iterable[str], owner: str) -> Self:
        """The owner's rows among these, looked up by their keys.

        Not by the index of owners, which PostgreSQL thinks small: while somebody's snapshot is open, every row that
        this owner ever had is still in it; and MariaDB and MySQL would lock its entry before the row, which whoever
        ends the task does the other way round. An expression keeps it from being chosen.
        """
        named = self.filter(among("id", sorted(ids)))
        if connections[self.db].vendor != "sqlite":
            return named.alias(owner=Coalesce("claimed_by", Value(""))).filter(owner=owner)
        return named.owned_by(owner)

    def lock_owned(self, ids: Iterable[str], owner: str) -> set[str]:
        """The owner's rows among these; until the transaction ends nobody else changes them."""
        if connections[self.db].vendor == "mysql":
            return self._lock_by_key(sorted(ids), owner)
        return set(self.owned_among(ids, owner).select_for_update().values_list("id", flat=True))

    def locked_owned(self, ids: Iterable[str], owner: str) -> list[TaskResult]:
        """The same, as rows."""
        if connections[self.db].vendor == "mysql":
            return list(self.filter(id__in=sorted(self.lock_owned(ids, owner))))
        return list(self.owned_among(ids, owner).select_for_update())

    def _lock_by_key(self, ids: Sequence[str], owner: str) -> set[str]:
        """A small table is read through for `id IN (…)`, and each row on the way that somebody has locked is waited
        for, who may be waiting for us."""
        if not ids:
            return set()
        with connections[self.db].cursor() as cursor:
            cursor.execute(
                f"SELECT id FROM {self.model._meta.db_table} FORCE INDEX (PRIMARY) "
                f"WHERE id IN ({', '.join(['%s'] * len(ids))}) AND claimed_by = %s FOR UPDATE",
                [*ids, owner],
            )
            return {id for (id,) in cursor.fetchall()}

    def owners(self) -> list[str]:
        """Everybody who owns a row. Cheap however long the history is: the index holds claimed rows only."""
        owned = self.filter(claimed_by__isnull=False).order_by()
        return [owner for owner in owned.values_list("claimed_by", flat=True).distinct() if owner]

    def claims(self) -> list[Claims]:
        """How many rows are owned, and of these are known to run. By the index of owners."""
        owned = self.filter(claimed_by__isnull=False).order_by().values_list("queue", "claimed_by", "task")
        counted = owned.annotate(claimed=models.Count("*"), begun=models.Count("started_at"))
        return [Claims(*values) for values in counted]

    def overtaken(self, queue: str) -> Self:
        """Of rows of a queue that wait: those that should have been claimed before others were sent that are run now.

        A queue keeps its order among those of one priority, so no message of these is in it. Which priority comes
        first is the broker's to say.
        """
        owned = self.model.objects.using(self.db).filter(claimed_by__isnull=False, queue=queue).order_by()
        newest = owned.values_list("priority").annotate(models.Max("created_at"))
        # An `IN ()` of nothing is no row.
        later = [Q(priority=priority, awaited_at__lte=sent) for priority, sent in newest]
        return self.filter(reduce(or_, later, Q(id__in=[])))

    def claim(self, ids: Collection[str], owner: str, retries: Mapping[str, int] | None = None) -> set[str]:
        """Make the waiting rows among `ids` the owner's, and say which these are.

        Rows that are final, revoked or owned are left alone: their delivery is void. So is that of a row which this
        very owner claimed before: it runs already. `retries`, if given, says for each which run was delivered: of one
        that has asked for another since, the row waits for that one, maybe for hours.
        """
        runs = set((retries or {}).values())
        if connections[self.db].vendor == "postgresql" and len(runs) <= 1:
            return self._claim_of_one_run(ids, owner, runs)
        waiting = self.filter(among("id", sorted(ids))).waiting().not_after(retries)
        if returning.can_return(connections[self.db]):
            return returning.update(waiting, claimed_by=owner, awaited_at=None)
        # By a read without locks: what is this owner's already, nobody else changes. Two statements as a rule.
        before = set(self.owned_among(ids, owner).values_list("id", flat=True))
        claimed = waiting.update(claimed_by=owner, awaited_at=None)
        if claimed == len(ids) - len(before):
            return set(ids) - before
        return set(self.owned_among(ids, owner).values_list("id", flat=True)) - before

    def _claim_of_one_run(self, ids: Collection[str], owner: str, runs: Collection[int]) -> set[str]:
        """The same for PostgreSQL, nearly always: each task waits for this, and to have it compiled takes longer."""
        statement = (
            f"UPDATE {self.model._meta.db_table} SET claimed_by = %s, awaited_at = NULL WHERE id = ANY(%s) "
            f"AND claimed_by IS NULL AND status <> ALL(%s) {'AND retries <= %s' if runs else ''} RETURNING id"
        )
        with connections[self.db].cursor() as cursor:
            cursor.execute(statement, [owner, sorted(ids), sorted(states.FINAL_STATES), *runs])
            return {id for (id,) in cursor.fetchall()}

    def not_after(self, retries: Mapping[str, int] | None) -> Self:
        """Rows that wait for these runs, not for later ones."""
        if not retries:
            return self
        ids_of: dict[int, list[str]] = {}
        for id, number in retries.items():
            ids_of.setdefault(number, []).append(id)
        if len(ids_of) == 1:
            return self.filter(retries__lte=next(iter(ids_of)))
        runs = [Q(id__in=sorted(ids), retries__lte=number) for number, ids in sorted(ids_of.items())]
        return self.filter(reduce(or_, runs))

    def adopt(self, rows: Sequence[TaskResult], owner: str) -> set[str]:
        """Make rows for tasks that came without one, from a foreign sender, owned from the start."""
        for row in rows:
            row.claimed_by = owner
        self.insert_unknown(rows)
        return set(self.owned_among([row.id for row in rows], owner).values_list("id", flat=True))

    def release(self, ids: Collection[str], owner: str, due: dt.datetime | None = None) -> list[TaskResult]:
        """Give up the owner's rows among `ids`, as if never claimed; they come back to be sent again, for `due`."""
        with transaction.atomic(using=self.db, savepoint=False):
            rows = self.locked_owned(ids, owner)
            self.filter(id__in=[row.id for row in rows]).update(
                claimed_by=None,
                status=states.PENDING,
                result=None,
                started_at=None,
                worker="",
                awaited_at=awaited_from(due),
            )
        return rows

    def vacate(self, id: str, owner: str) -> bool:
        """Remove the row of a task that the owner runs, for another task to take its place. False if it is not his."""
        vacated = bool(self.owned_among([id], owner).delete()[0])
        if vacated:
            TaskAttempt.objects.using(self.db).forget([id])
        return vacated

    def count_crash(self, ids: Collection[str], owner: str) -> None:
        """Another process died while it ran these."""
        self.owned_among(ids, owner).update(crashes=models.F("crashes") + 1)
