"""QueuedMessage: a message stored in the database, because it waits.

It waits to be consumed (ready), until it is due (parked), for its consumer to finish (claimed), or for an operator
to look at it (aside).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Sequence
from typing import Self

from django.db import connections, models
from django.utils.translation import gettext_lazy as _

from django_tasks.message.saferepr import storable

from .batches import batch_size


class QueuedMessageQuerySet(models.QuerySet["QueuedMessage"]):
    def ready(self) -> Self:
        """Can be consumed now."""
        return self.filter(state=QueuedMessage.State.READY)

    def due(self, now: dt.datetime) -> Self:
        """Parked messages whose time has come, and claimed ones whose consumer let its time pass."""
        states = (QueuedMessage.State.PARKED, QueuedMessage.State.CLAIMED)
        return self.filter(state__in=states, deliver_at__lte=now)

    def aside(self) -> Self:
        """Could not be read or may not be run; kept for an operator."""
        return self.filter(state=QueuedMessage.State.ASIDE)

    def owned_by(self, owner: str) -> Self:
        return self.filter(state=QueuedMessage.State.CLAIMED, claimed_by=owner)

    def owners(self) -> list[str]:
        """Who holds messages under a lease; those held for a time only come back by themselves."""
        claimed = self.filter(state=QueuedMessage.State.CLAIMED, deliver_at=None).order_by()
        return list(claimed.values_list("claimed_by", flat=True).distinct())

    def insert(self, rows: Sequence[QueuedMessage]) -> None:
        self.bulk_create(rows, batch_size=batch_size(row.payload for row in rows))

    def lock_next(self, queue: str, limit: int) -> list[QueuedMessage]:
        """The next messages of a queue, locked until the transaction ends; others pass over them.

        The rule is priority (0 first), then age. Must run inside a transaction; on SQLite its first statement
        locks the database instead of the rows.
        """
        self._begin_to_write()
        rows = self.ready().filter(queue=queue).order_by("priority", "sent_at", "id")
        skip = connections[self.db].features.has_select_for_update_skip_locked
        return list(
            rows.only("id", "queue", "payload", "deliveries").select_for_update(skip_locked=skip)[:limit]
        )

    def _begin_to_write(self) -> None:
        """SQLite: a transaction that reads first cannot wait for another writer when it comes to write; it fails."""
        connection = connections[self.db]
        if connection.vendor == "sqlite" and getattr(connection, "transaction_mode", None) in (
            None,
            "DEFERRED",
        ):
            self.filter(pk=0).update(state=QueuedMessage.State.READY)

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
        return self.update(state=QueuedMessage.State.READY, claimed_by="", deliver_at=None)

    def remove(self, ids: Collection[int], owner: str | None = None) -> None:
        """Forget messages that were consumed: locked ones, or those that still are `owner`'s."""
        connection = connections[self.db]
        if connection.vendor == "mysql" and connection.features.has_select_for_update_skip_locked:
            self._remove_by_key(ids, owner)
        else:
            (self if owner is None else self.owned_by(owner)).filter(id__in=ids).delete()

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

    def set_aside(self, reason: str) -> int:
        """Keep these messages for an operator, with the reason why."""
        reason = storable(reason)[:1000]
        return self.update(state=QueuedMessage.State.ASIDE, claimed_by="", deliver_at=None, reason=reason)


class QueuedMessage(models.Model):
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
        indexes = [
            # Served in this order straight from the index, however long the queue is.
            models.Index(
                fields=["state", "queue", "priority", "sent_at", "id"], name="django_tasks_queue_next"
            ),
            models.Index(fields=["state", "deliver_at"], name="django_tasks_queue_due"),
        ]

    def __str__(self) -> str:
        return f"{self.queue} #{self.pk} ({self.state})"
