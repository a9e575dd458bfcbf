"""What is known of tasks: asked of the store first, and of their rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from django.db import IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasks import clock, conf, states
from django_tasks.exceptions import DecodeError, DuplicateTaskId, TaskRevokedError, TimeoutError
from django_tasks.message.errors import write_error
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode
from django_tasks.models import TaskResult
from django_tasks.models.result import TaskResultQuerySet
from django_tasks.models.watch import ENDINGS, Watch, announce, watch
from django_tasks.service import readable

from .handler import put, store
from .store import Facts, Record


class Results:
    """What a sender and whoever holds an `AsyncResult` ask for."""

    @property
    def alias(self) -> str:
        return conf.current().DATABASE

    @property
    def rows(self) -> TaskResultQuerySet:
        return TaskResult.objects.using(self.alias)

    def _row(self, id: str) -> TaskResultQuerySet:
        """The row of a task, if there is one. PostgreSQL does not let us ask for NUL, and ids come from URLs, too."""
        return self.rows.none() if "\x00" in id else self.rows.filter(id=id)

    def open(self, sent: Sequence[tuple[TaskMessage, Envelope]]) -> None:
        """Make the rows of tasks being sent. Raises `DuplicateTaskId` if an id is taken."""
        rows = [TaskResult.of(message, envelope) for message, envelope in sent]
        try:
            self.rows.insert(rows)
        except IntegrityError as error:
            taken = ", ".join(row.id for row in rows) if len(rows) < 4 else f"one of {len(rows)} ids"
            raise DuplicateTaskId(
                f"task_id {taken} is taken by another task. Choose one that was never used, or leave it out."
            ) from error

    # -- asking

    def look_up(self, id: str) -> Record:
        return self._look_up(id, connections[self.alias])

    def _look_up(self, id: str, connection: BaseDatabaseWrapper) -> Record:
        if kept := store().look_up(id):
            return kept
        record = _read(connection, id)
        if record.is_ready and not store().rows_keep_results:
            return store().look_up(id) or record  # it ended between our two questions
        return record

    def facts(self, id: str) -> Facts:
        """What is known of it besides its state."""
        row = self._row(id).defer("result", "traceback").first()
        if row is None:
            return Facts()
        order = _order(row)
        return Facts(
            task=row.task,
            queue=row.queue,
            args=None if order is None else order.args,
            kwargs=None if order is None else order.kwargs,
            retries=row.retries,
            worker=row.worker or None,
            parent_id=row.parent_id,
            root_id=row.root_id or row.id,
        )

    def children(self, id: str) -> list[str]:
        """The ids of the tasks that this one sent, the first one first."""
        if "\x00" in id:
            return []
        return list(self.rows.filter(parent_id=id).order_by("created_at", "id").values_list("id", flat=True))

    # -- waiting

    def wait(
        self,
        id: str,
        *,
        timeout: float | None,
        interval: float | None,
        on_change: Callable[[Record], object] = lambda record: None,
    ) -> Record:
        """The final record, as soon as there is one; `on_change` is called with each that is seen on the way.

        Raises `TimeoutError` after `timeout` seconds.
        """
        ends = None if timeout is None else clock.monotonic() + timeout
        record = self.look_up(id)
        if record != Record(id=id):
            on_change(record)
        if record.is_ready:
            return record
        with (
            self._outside_transactions(id) as connection,
            contextlib.closing(watch(connection, ENDINGS)) as seen,
        ):
            while True:
                before, record = record, self._look_up(id, connection)
                if record != before:
                    seen.found(True)
                    on_change(record)
                if record.is_ready:
                    return record
                left = None if ends is None else ends - clock.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"Task {id} is {record.status} after {timeout} seconds; it goes on.")
                _pause(seen, interval, left)

    @contextlib.contextmanager
    def _outside_transactions(self, id: str) -> Iterator[BaseDatabaseWrapper]:
        """A connection that sees what others commit: this thread's, unless a transaction holds its view still."""
        connection = connections[self.alias]
        if not connection.in_atomic_block and connection.get_autocommit():
            yield connection
            return
        if connection.vendor == "sqlite" and getattr(connection, "transaction_mode", None) in _LOCKING:
            raise RuntimeError(
                f"get() inside this transaction would wait for ever for task {id}: on SQLite no worker can write "
                "before it ends. Call get() after the transaction.atomic() block."
            )
        other = connection.copy()
        try:
            if self.rows.filter(id=id).exists() and not _exists(other, id):
                raise RuntimeError(
                    f"Task {id} is sent when this transaction commits, so get() inside of it would wait for ever. "
                    "Call get() after the transaction.atomic() block."
                )
            yield other
        finally:
            other.close()

    # -- changing

    def report(self, id: str, state: str, text: str) -> bool:
        """Show a state of its own for a task that has not ended, whoever runs it. False if there is none."""
        shown = self._row(id).not_final().update(status=state, result=text) == 1
        if shown:
            announce(connections[self.alias], ENDINGS)
        return shown

    def forget(self, id: str) -> None:
        """Remove what is kept of a finished task."""
        if self._row(id).final().delete()[0] or not self._row(id).exists():
            store().forget(id)

    def revoke(self, id: str, *, terminate: bool = False) -> bool:
        """End a task that has not begun. False if it has; then `terminate` asks whoever runs it to stop it."""
        ending = Record(
            id=id,
            status=states.REVOKED,
            text=write_error(TaskRevokedError("revoked")),
            finished_at=clock.now(),
        )
        with transaction.atomic(using=self.alias, savepoint=False):
            revoked = self._row(id).revoke([id], ending.text or "") == 1
            if revoked:
                put([ending])
                announce(connections[self.alias], ENDINGS)
            elif terminate:
                self.rows.ask_to_terminate([id])
        return revoked

    def abort(self, id: str) -> bool:
        """Ask the body of a task that has not ended to stop. False if there is none."""
        asked = self._row(id).not_final().update(aborted=True) == 1
        if asked:
            announce(connections[self.alias], ENDINGS)
        return asked

    def is_aborted(self, id: str) -> bool:
        return self._row(id).filter(aborted=True).exists()


#: Transactions of SQLite that lock the database from their beginning.
_LOCKING = ("IMMEDIATE", "EXCLUSIVE")
#: Seconds after which a waiter looks by itself: a notice may be lost.
_LOOK_ANYWAY = 1.0
_FIELDS = ("status", "result", "traceback", "finished_at", "aborted")


def _read(connection: BaseDatabaseWrapper, id: str) -> Record:
    """The record as `connection` sees the row; it may be one that has no alias."""
    if "\x00" in id:
        return Record(id=id)
    query = TaskResult.objects.filter(id=id).values_list(*_FIELDS).query
    found = list(query.get_compiler(connection=connection).results_iter(tuple_expected=True))
    if not found:
        return Record(id=id)
    status, text, traceback, finished_at, aborted = found[0]
    return Record(
        id=id,
        status=states.ABORTED if aborted and status not in states.FINAL_STATES else status,
        text=text,
        traceback=traceback,
        finished_at=finished_at and clock.from_storage(finished_at),
    )


def _exists(connection: BaseDatabaseWrapper, id: str) -> bool:
    query = TaskResult.objects.filter(id=id).values_list("id").query
    return bool(list(query.get_compiler(connection=connection).results_iter(tuple_expected=True)))


def _order(row: TaskResult) -> TaskMessage | None:
    """The message of a row, if it is of a kind that may be read here."""
    with contextlib.suppress(DecodeError, ValueError, KeyError, TypeError):
        envelope = Envelope.from_text(row.message)
        return decode(envelope, queue=row.queue, accept=conf.current().ACCEPT_CONTENT)
    return None


def _pause(seen: Watch, interval: float | None, left: float | None) -> None:
    """Until something ended somewhere, or it is time to look anyway."""
    wanted = _LOOK_ANYWAY if interval is None else interval
    seconds = wanted if left is None else min(wanted, left)
    if interval is None:
        seen.wait(seconds)
    else:
        readable([], seconds)
