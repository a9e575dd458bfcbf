"""QueuedMessage: a message stored in the database, because it waits.

It waits to be consumed (ready), until it is due (parked), for its consumer to finish (claimed), or for an operator
to look at it (aside).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from django.db import connections, models
from django.db.models.functions import Left, Right
from django.utils.translation import gettext_lazy as _

from django_tasks import clock
from django_tasks.message.saferepr import storable

from . import inserting
from .among import among
from .batches import batch_size
from .indexes import PartlyIndexed, sparse
from .locking import begin_to_write, lock_free
from .watch import ARRIVALS, announce

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: Where a message stands in its queue: its priority, and since when it waits.
Place = tuple[int, dt.datetime]

#: A task and its message are written within so long of each other.
A_MOMENT = dt.timedelta(seconds=5)


class StoredMessage(NamedTuple):
    """What a consumer needs of a row. An instance of the model costs more than to read it."""

    id: int
    queue: str
    deliveries: int
    #: The payload, if it is not too long to be read.
    text: str | None


#: How the payload of a message begins that was too large to be kept whole.
CUT = '{"cut_from": '


#: Where it has another name: how long a text is.
SIZE = {"sqlite": "LENGTH"}


class _Size(models.Func):
    """How long a text is, in bytes where the database knows that without reading it."""

    function = "OCTET_LENGTH"
    output_field = models.BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, SIZE["sqlite"], **more)


def next_of_queue(
    connection: BaseDatabaseWrapper, *, from_place: bool = False, up_to_last: bool = False
) -> str:
    """A process asks this each time it is told of something; to have it compiled takes longer than the answer."""
    features, operations = connection.features, connection.ops
    lock = operations.for_update_sql(skip_locked=features.has_select_for_update_skip_locked)
    # As a row, because only so PostgreSQL begins there in the index instead of filtering what it passes.
    here = " AND (priority, sent_at) >= (%s, %s)" if from_place else ""
    so_far = " AND id <= %s" if up_to_last else ""
    return (
        f"SELECT id, queue, deliveries, CASE WHEN {SIZE.get(connection.vendor, _Size.function)}(payload) <= %s "
        f"THEN payload END FROM {QueuedMessage._meta.db_table} WHERE state = %s AND queue = %s{here}{so_far} "
        f"ORDER BY priority, sent_at LIMIT %s {lock if features.has_select_for_update else ''}"
    )


class QueuedMessageQuerySet(models.QuerySet["QueuedMessage"]):
    def ready(self) -> Self:
        """Can be consumed now."""
        return self.filter(state=QueuedMessage.State.READY)

    def dead(self) -> int:
        """About how many rows were deleted or changed that PostgreSQL still keeps. Others keep none, or do not say."""
        connection = connections[self.db]
        if connection.vendor != "postgresql":
            return 0
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_get_dead_tuples(%s::regclass)", [self.model._meta.db_table])
            return int(cursor.fetchone()[0])

    def waiting(self) -> Self:
        """What is still to be consumed: now, or when it is due."""
        return self.filter(state__in=(QueuedMessage.State.READY, QueuedMessage.State.PARKED))

    def free(self) -> Self:
        """Nobody's: what a sender has just stored, and means to publish itself, is left to it."""
        return self.filter(claimed_by="")

    def parked_until(self, moment: dt.datetime) -> Self:
        """What is due at this very moment."""
        return self.filter(state=QueuedMessage.State.PARKED, deliver_at=moment)

    def ready_since(self, queue: str, priority: int, moment: dt.datetime) -> Self:
        """What of a queue waits since about this moment, by the index in which it is served."""
        around = (moment - A_MOMENT, moment + A_MOMENT)
        return self.ready().filter(queue=queue, priority=priority, sent_at__range=around)

    def lock_for_change(self) -> list[QueuedMessage]:
        """These messages, locked until the transaction ends; those that somebody takes just now are passed over."""
        begin_to_write(self)
        return list(lock_free(self.order_by("id")))

    def due(self, now: dt.datetime) -> Self:
        """Parked messages whose time has come, and claimed ones whose consumer let its time pass."""
        states = (QueuedMessage.State.PARKED, QueuedMessage.State.CLAIMED)
        return self.filter(state__in=states, deliver_at__lte=now)

    def next_due(self, until: dt.datetime) -> dt.datetime | None:
        """The first moment up to `until` at which something is due."""
        return self.due(until).order_by("deliver_at").values_list("deliver_at", flat=True).first()

    def aside(self) -> Self:
        """Could not be read or may not be run; kept for an operator."""
        return self.filter(state=QueuedMessage.State.ASIDE)

    def owned_by(self, owner: str) -> Self:
        return self.filter(state=QueuedMessage.State.CLAIMED, claimed_by=owner)

    def owned_among(self, ids: Collection[int], owner: str) -> Self:
        """The owner's among these, looked up by their keys: see `TaskResultQuerySet.owned_among`."""
        named = self.filter(among("id", ids))
        if connections[self.db].vendor == "postgresql":
            return named.filter(claimed_by=owner)
        return named.owned_by(owner)

    def owners(self) -> list[str]:
        """Who holds messages under a lease; those held for a time only come back by themselves."""
        claimed = self.filter(state=QueuedMessage.State.CLAIMED, deliver_at=None).order_by()
        return list(claimed.values_list("claimed_by", flat=True).distinct())

    def kept_by(self, sender: str, until: dt.datetime) -> Self:
        """What a sender has written down and means to publish before `until`, by the index of due moments."""
        due = {"state": QueuedMessage.State.PARKED, "deliver_at": clock.to_storage(until)}
        return self.filter(**due, claimed_by__startswith=sender)

    def keepers(self) -> set[str]:
        return set(self.order_by().values_list("claimed_by", flat=True).distinct())

    def insert(self, rows: Sequence[QueuedMessage]) -> None:
        inserting.write(rows, connections[self.db], at_once=batch_size(row.payload for row in rows))

    def insert_with_keys(self, rows: Sequence[QueuedMessage]) -> None:
        """The same, and the rows know their keys then. MySQL tells them one by one only."""
        if connections[self.db].features.can_return_rows_from_bulk_insert:
            self.bulk_create(rows, batch_size=batch_size(row.payload for row in rows))
        else:
            for row in rows:
                row.save(using=self.db, force_insert=True)

    def lock_next(
        self, queue: str, limit: int, longest: int, place: Place | None = None, last: int | None = None
    ) -> list[StoredMessage]:
        """The next messages of a queue, locked until the transaction ends; others pass over them.

        A payload that is longer than `longest` is not read. With `place` these are messages at it or behind it, with
        `last` those that came no later than the one with this key; other filters are not heeded.
        The rule is priority (0 first), then age. Must run inside a transaction; on SQLite its first statement
        locks the database instead of the rows.
        """
        begin_to_write(self)
        connection = connections[self.db]
        up_to = () if last is None else (last,)
        asked = [longest, QueuedMessage.State.READY, queue, *(place or ()), *up_to, limit]
        with connection.cursor() as cursor:
            cursor.execute(next_of_queue(connection, from_place=bool(place), up_to_last=bool(up_to)), asked)
            return list(starmap(StoredMessage, cursor.fetchall()))

    def places(self, ids: Collection[int]) -> dict[str, Place]:
        """Where these messages stand, by queue."""
        found = self.filter(id__in=ids).values_list("queue", "priority", "sent_at")
        return {queue: (priority, sent_at) for queue, priority, sent_at in found}

    def ends(self, most: int) -> tuple[str, str, int]:
        """The first and the last characters of the one payload, which is too long to be read, and how long it is.

        One after the other, as SQLite has the whole payload in our memory for each.
        """
        parts = (Left("payload", most), Right("payload", most), _Size("payload"))
        beginning, end, size = (self.values_list(part, flat=True).get() for part in parts)
        return beginning, end, size

    def lock_parked(self, queue: str, limit: int, longest: int) -> list[StoredMessage]:
        """Of a queue what is due later, as `lock_next` does."""
        begin_to_write(self)
        parked = self.free().filter(state=QueuedMessage.State.PARKED, queue=queue)
        text = models.Case(models.When(models.Q(size__lte=longest), then="payload"))
        rows = lock_free(parked.order_by("priority", "sent_at").alias(size=_Size("payload")))
        return list(starmap(StoredMessage, rows.values_list("id", "queue", "deliveries", text)[:limit]))

    def rehouse(self, ids: Collection[int], queue: str) -> None:
        """Have locked messages wait in another queue, in the place that their age gives them."""
        self.filter(id__in=sorted(ids)).update(queue=queue)
        announce(connections[self.db], ARRIVALS)

    def lock_due(self, now: dt.datetime, limit: int) -> list[QueuedMessage]:
        """What is to be delivered to a broker of its own, locked until the transaction ends; others pass over it.

        Also what is ready: it waits for a consumer of the embedded broker, from before the project had another one.
        """
        begin_to_write(self)
        rows: list[QueuedMessage] = []
        for some in (self.ready().order_by("queue", "priority", "sent_at"), self.due(now)):
            rows += lock_free(some)[: limit - len(rows)]
        return rows

    def lend(self, ids: Collection[int], borrower: str, until: dt.datetime) -> None:
        """Leave messages to somebody who delivers them; until then nobody else does."""
        rows = self.filter(id__in=ids)
        rows.update(state=QueuedMessage.State.CLAIMED, claimed_by=borrower, deliver_at=until)

    def hold(self, ids: Collection[int], owner: str, until: dt.datetime | None) -> None:
        """Mark messages as being consumed: by `owner`, and if given only `until` then."""
        self.filter(id__in=ids).update(
            state=QueuedMessage.State.CLAIMED,
            claimed_by=owner,
            deliver_at=until,
            deliveries=models.F("deliveries") + 1,
        )

    def make_ready(self) -> int:
        """Offer these messages to consumers, in their old place."""
        count = self.update(state=QueuedMessage.State.READY, claimed_by="", deliver_at=None)
        if count:
            announce(connections[self.db], ARRIVALS)
        return count

    def remove(self, ids: Collection[int], owner: str | None = None) -> None:
        """Forget messages that were consumed: locked ones, or those that still are `owner`'s."""
        connection = connections[self.db]
        if connection.vendor == "mysql" and connection.features.has_select_for_update_skip_locked:
            self._remove_by_key(ids, owner)
        elif connection.vendor == "postgresql" and owner is None:
            # Django would first ask whether anything hangs on the rows, with each batch of each process.
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {self.model._meta.db_table} WHERE id = ANY(%s)", [list(ids)])
        else:
            (self.filter(among("id", ids)) if owner is None else self.owned_among(ids, owner)).delete()

    def _remove_by_key(self, ids: Collection[int], owner: str | None) -> None:
        """MariaDB and MySQL read a small table through for `id IN (…)`, and a DELETE waits for each row on its way
        that somebody has locked, who may be waiting for us. Joined so, it can only look up the keys."""
        statement = (
            "DELETE q FROM JSON_TABLE(%s, '$[*]' COLUMNS (id BIGINT PATH '$')) AS gone "
            f"STRAIGHT_JOIN {self.model._meta.db_table} AS q FORCE INDEX (PRIMARY) ON q.id = gone.id"
        )
        parameters = [json.dumps(list(ids))]
        if owner is not None:
            statement += " WHERE q.state = %s AND q.claimed_by = %s"
            parameters += [QueuedMessage.State.CLAIMED, owner]
        with connections[self.db].cursor() as cursor:
            cursor.execute(statement, parameters)

    def set_aside(self, reason: str, **columns: str) -> int:
        """Keep these messages for an operator, with the reason why."""
        reason = storable(reason)[:1000]
        aside = QueuedMessage.State.ASIDE
        return self.update(state=aside, claimed_by="", deliver_at=None, reason=reason, **columns)

    def replayable(self) -> Self:
        """Set aside, and kept whole."""
        return self.aside().exclude(payload__startswith=CUT)

    def replay(self) -> int:
        """Offer again what was set aside and is there whole, in its old place; how many these were.

        The reason stays until there is a new one: it tells why the message comes late. The deliveries are counted
        anew, or one that was tried too often would be set aside at once.
        """
        ready = QueuedMessage.State.READY
        replayed = self.replayable().update(state=ready, claimed_by="", deliver_at=None, deliveries=0)
        if replayed:
            announce(connections[self.db], ARRIVALS)
        return replayed


class QueuedMessage(PartlyIndexed):
    """A stored message of a queue."""

    class State(models.TextChoices):
        READY = "ready", _("ready")
        CLAIMED = "claimed", _("claimed")
        PARKED = "parked", _("parked until due")
        ASIDE = "aside", _("set aside")

    id = models.BigAutoField(primary_key=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.READY)
    queue = models.CharField(_("queue"), max_length=100)
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("0 is served first, 9 last."))
    sent_at = models.DateTimeField(_("sent"))
    deliver_at = models.DateTimeField(_("due"), null=True)
    claimed_by = models.CharField(_("claimed by"), max_length=64, blank=True)
    deliveries = models.PositiveIntegerField(_("deliveries"), default=0)
    reason = models.CharField(_("reason"), max_length=1000, blank=True, help_text=_("Why it was set aside."))
    payload = models.TextField(_("payload"))

    objects = QueuedMessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("queued message")
        verbose_name_plural = _("queued messages")
        permissions = [
            ("pause_queue", "Can pause and resume a queue"),
            ("purge_queue", "Can empty a queue"),
            ("move_task", "Can move tasks to another queue"),
            ("replay_message", "Can replay or discard a message that was set aside"),
        ]
        indexes = [
            # Served in this order straight from the index, however long the queue is. Without the key: PostgreSQL, to
            # which a queue looks empty that was so when it was analyzed, would take it for looking up keys as well,
            # and read it from end to end.
            models.Index(fields=["state", "queue", "priority", "sent_at"], name="django_tasks_queue_next"),
            # Only what has a moment is in it, or PostgreSQL would take it for looking up what is ready.
            sparse("state", "deliver_at", having="deliver_at", name="django_tasks_queue_due"),
        ]

    def __str__(self) -> str:
        return f"{self.queue} #{self.pk} ({self.state})"
