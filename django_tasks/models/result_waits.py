"""Tasks that wait: written down as they are sent, moved, withdrawn, and looked for when a broker may have lost them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from django.db import connections, transaction

from django_tasks import clock, conf

from . import inserting
from .batches import batch_size
from .locking import begin_to_write, lock_free
from .result_lists import ListedResults

if TYPE_CHECKING:
    from .result import TaskResult

#: A task that nobody has claimed this long after it was to be delivered may have been lost by its broker.
LOST_AFTER = dt.timedelta(seconds=30)


def awaited_from(due: dt.datetime | None) -> dt.datetime | None:
    """From when on a task that is sent now, to run at `due`, is looked for. One transaction of both loses nothing."""
    if not conf.current().is_apart:
        return None
    now = clock.now()
    return clock.to_storage(max(due or now, now) + LOST_AFTER)


class AwaitedResults(ListedResults):
    def insert(self, rows: Sequence[TaskResult]) -> None:
        inserting.write(rows, connections[self.db], at_once=batch_size(row.message for row in rows))

    def insert_unknown(self, rows: Sequence[TaskResult]) -> None:
        """Make those of the rows that there are not yet."""
        self.bulk_create(rows, ignore_conflicts=True, batch_size=batch_size(row.message for row in rows))

    def reorder(self, orders: Mapping[str, tuple[str, int, dt.datetime | None]]) -> None:
        """Make the rows with these ids orders for the next run: its message, how many runs were retried, its eta."""
        rows = [
            self.model(id=id, message=message, retries=retries, awaited_at=awaited_from(eta))
            for id, (message, retries, eta) in orders.items()
        ]
        self.bulk_update(rows, ["message", "retries", "awaited_at"], batch_size=100)

    def lock_waiting(self, ids: Collection[str]) -> list[str]:
        """Those of these rows that wait; until the transaction ends nobody claims them."""
        waiting = self.filter(id__in=sorted(ids)).waiting()
        begin_to_write(self)
        return list(waiting.order_by("id").select_for_update().values_list("id", flat=True))

    def rehouse(self, ids: Collection[str], queue: str) -> None:
        """Have the waiting rows among these wait for another queue; their messages are moved with them."""
        with transaction.atomic(using=self.db, savepoint=False):
            waiting = self.filter(id__in=self.lock_waiting(ids))
            if soonest := awaited_from(None):  # they stand at the end of that queue now
                waiting.filter(awaited_at__lt=soonest).update(awaited_at=soonest)
            waiting.update(queue=queue)

    def withdraw(self, ids: Collection[str]) -> None:
        """Undo that these were sent, as nobody can have heard of them."""
        if ids:
            self.filter(id__in=sorted(ids)).waiting().delete()

    def give_up_on(self, ids: Collection[str]) -> None:
        """Do not look for these: their messages are known to be set aside."""
        self.filter(id__in=sorted(ids)).waiting().update(awaited_at=None)

    def overdue(self, queue: str, now: dt.datetime) -> Self:
        """Rows of a queue that wait although somebody should have claimed them by now, the oldest first."""
        return self.waiting().filter(queue=queue, awaited_at__lte=now).order_by("awaited_at")

    def locked(self, limit: int) -> list[TaskResult]:
        """The first of these, locked until the transaction ends; others pass over them."""
        begin_to_write(self)
        return list(lock_free(self)[:limit])

    def await_again(self, rows: Sequence[TaskResult], now: dt.datetime) -> None:
        """Look for these later, ever more seldom: who runs them may just not tell us."""
        for row in rows:
            row.awaited_at = now + max(2 * LOST_AFTER, now - row.created_at)
        self.bulk_update(rows, ["awaited_at"], batch_size=100)
