"""The outbox: what is sent inside a transaction is stored with it, and published when it has committed.

The stored copy is there for a crash in between: it is parked for a moment, long enough for the sender to publish and
delete it, and what is still there then is delivered by any worker's relay like everything whose time has come. So a
message goes out if and only if its transaction commits; after a crash at the wrong instant, twice.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from django.db import DatabaseError, transaction

from django_tasks import clock
from django_tasks.exceptions import OperationalError
from django_tasks.models import QueuedMessage

from .broker import Posting

logger = logging.getLogger("django_tasks.brokers")

#: What a sender has, from writing a message down to publishing it, before the relay takes it for lost.
SENDERS_TIME = dt.timedelta(seconds=10)
#: Seconds without trying after the broker could not be reached: those who send by the hundred would wait each time.
REST = 1.0


@dataclass(slots=True)
class Sheet:
    """What a transaction has written into the outbox so far, by the name of the part that a savepoint may take back."""

    began: dt.datetime
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    parts: dict[str, Sequence[Posting]] = field(default_factory=dict)


class Outbox:
    """`store` writes messages down and `push` publishes them; `alias` is the database of the transactions."""

    def __init__(
        self,
        *,
        alias: str,
        store: Callable[[Sequence[Posting], str], None],
        push: Callable[[Sequence[Posting]], None],
    ) -> None:
        self.alias = alias
        self.store = store
        self.push = push
        self.resting_until = float("-inf")
        self._own = threading.local()

    def put(self, postings: Sequence[Posting]) -> None:
        """Have these sent with the transaction under way."""
        sheet = self._sheet()
        part = f"{sheet.name}:{len(sheet.parts)}"
        sheet.parts[part] = postings
        due = sheet.began + SENDERS_TIME
        self.store([replace(posting, deliver_at=due) for posting in postings], part)
        transaction.on_commit(partial(self.empty, sheet), using=self.alias)

    def _sheet(self) -> Sheet:
        """This thread's, unless it is old: its transaction may be over, rolled back, or take its time."""
        sheet: Sheet | None = getattr(self._own, "sheet", None)
        if sheet is None or clock.now() - sheet.began > SENDERS_TIME / 4:
            sheet = self._own.sheet = Sheet(began=clock.now())
        return sheet

    def empty(self, sheet: Sheet) -> None:
        """Publish all that a transaction has committed. What fails is left to the relay, and so is what took long.

        Of what failed the relay need not wait for us: it is in the queue that soon after the broker is back.
        """
        if getattr(self._own, "sheet", None) is sheet:
            self._own.sheet = None
        parts, sheet.parts = sheet.parts, {}
        is_late = clock.now() - sheet.began > SENDERS_TIME / 2
        if not parts or is_late:
            return
        rows = QueuedMessage.objects.using(self.alias).kept_by(sheet.name, sheet.began + SENDERS_TIME)
        try:
            if clock.monotonic() < self.resting_until:
                rows.make_ready()
                return
            there = parts.keys() if len(parts) == 1 else rows.keepers()
            if self._pushed([posting for part in parts if part in there for posting in parts[part]]):
                rows.delete()
            else:
                rows.make_ready()
        except DatabaseError as error:
            logger.warning("Messages may be sent twice, as the outbox cannot be tidied up: %s", error)

    def _pushed(self, postings: Sequence[Posting]) -> bool:
        try:
            self.push(postings)
        except OperationalError as error:
            self.resting_until = clock.monotonic() + REST
            logger.warning("Messages wait in the outbox: %s", error)
            return False
        return True
