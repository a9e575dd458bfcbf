"""Forwarding: what waits in the database goes to a broker of its own when its time has come.

The messages are lent to one relay, then published, then deleted. Who dies in between leaves them lent, for a while.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import connections, transaction

from django_tasks import clock
from django_tasks.exceptions import OperationalError, Unroutable
from django_tasks.models import QueuedMessage
from django_tasks.models.queue import QueuedMessageQuerySet

from . import connecting
from .broker import MOST_RELAYED, Delivery, Posting
from .confirming import Refused
from .consuming import DELIVERIES

logger = logging.getLogger("django_tasks.brokers")

#: Stored messages that are delivered at a time.
AT_ONCE = 500
#: How long a relay may take to deliver them; then they are anybody's again.
LOAN = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """`read` takes a stored message apart, `push` publishes or raises, `answers` says whether the broker is there."""

    rows: QueuedMessageQuerySet
    read: Callable[[QueuedMessage], Delivery]
    push: Callable[[Sequence[Posting]], None]
    answers: Callable[[], bool]

    def forward(self) -> int:
        """Publish what is due, or about `MOST_RELAYED` of it; how many messages these were."""
        moved = 0
        while moved < MOST_RELAYED and (rows := self._borrow()):
            self._deliver(rows)
            moved += len(rows)
            if len(rows) < AT_ONCE:
                break
        return moved

    def _borrow(self) -> list[QueuedMessage]:
        """The next due messages, for us alone. Nothing is locked while they are on their way."""
        now = clock.database_now(connections[self.rows.db])
        with transaction.atomic(using=self.rows.db):
            rows = self.rows.lock_due(clock.to_storage(now), AT_ONCE)
            borrower = f"relay:{uuid.uuid4().hex}"
            self.rows.lend([row.id for row in rows], borrower, clock.to_storage(now + LOAN))
        for row in rows:
            row.claimed_by = borrower
        return rows

    def _deliver(self, rows: Sequence[QueuedMessage]) -> None:
        """What is refused stays lent: it is tried again when that ends, and keeps nobody waiting."""
        borrower = rows[0].claimed_by
        postings = {row.id: posting for row in rows if (posting := self._posting(row)) is not None}
        try:
            refused = self._push_all_but(postings)
        except (OperationalError, Unroutable):
            self.rows.owned_among(list(postings), borrower).make_ready()
            raise
        self.rows.remove([row.id for row in rows if row.id not in refused], borrower)

    def _push_all_but(self, postings: Mapping[int, Posting]) -> set[int]:
        """Publish these, and say which the broker does not take. Raises what it says if it takes nothing at all."""
        try:
            self.push(list(postings.values()))
        except (OperationalError, Unroutable) as error:
            refused = self._refused(postings, error)
            again = LOAN.total_seconds()
            logger.warning("%d messages are tried again in %d s: %s", len(refused), again, error)
            return refused
        return set()

    def _refused(self, postings: Mapping[int, Posting], error: Exception) -> set[int]:
        """It has said which, or each is tried alone. Raises the error if it is the broker that is away."""
        cause = error.__cause__
        if isinstance(cause, Refused):
            refused = set(map(id, cause.postings))
            return {key for key, posting in postings.items() if id(posting) in refused}
        if connecting.is_silence(cause) or not self.answers():
            raise error
        if len(postings) == 1:
            return set(postings)
        alone = {key for key, posting in postings.items() if self._push_all_but({key: posting})}
        if len(alone) == len(postings):
            raise error
        return alone

    def _posting(self, row: QueuedMessage) -> Posting | None:
        try:
            delivery = self.read(row)
            if delivery.refusal is not None:
                raise delivery.refusal
        except ValueError as error:  # DecodeError is one
            self.rows.filter(id=row.id).set_aside(f"What is stored cannot be sent: {error}")
            return None
        envelope = delivery.envelope
        if row.deliveries:
            envelope = replace(envelope, headers={**envelope.headers, DELIVERIES: row.deliveries})
        return Posting(envelope=envelope, queue=row.queue, priority=row.priority)
