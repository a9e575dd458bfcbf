"""What follows from ends of tasks, done in the rows: all in the transaction that records those ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from django.db import connections, transaction

from django_tasks import clock, conf, states
from django_tasks.canvas.layout import Part
from django_tasks.dispatch.now import deliver, prepare
from django_tasks.dispatch.prepared import Prepared
from django_tasks.dispatch.workflow import SLICE, group_row, open_groups
from django_tasks.exceptions import EncodeError
from django_tasks.message.group import NewGroup
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.serialization import loads
from django_tasks.message.task_id import new_task_id
from django_tasks.models import TaskGroup, TaskResult
from django_tasks.models.batches import ROOM_FOR_THE_REST, SURELY_FITS, bytes_in_statement, most_bytes
from django_tasks.models.group import TaskGroupQuerySet
from django_tasks.models.result import TaskResultQuerySet
from django_tasks.models.watch import ENDINGS, announce
from django_tasks.results.handler import put, store_of
from django_tasks.results.store import Record

from .answers import answer
from .following import Complete, Ended, Member

logger = logging.getLogger("django_tasks.worker")

#: The task that calls the error callbacks of a task that never ran.
CALL_ERRBACKS = "django_tasks.call_errbacks"


class Rows:
    """A ledger that sends at its end, by `flush`, so that all that follows from a batch is sent at once."""

    def __init__(self) -> None:
        self.prepared: list[Prepared] = []
        self.new_groups: list[TaskGroup] = []

    @property
    def tasks(self) -> TaskResultQuerySet:
        return TaskResult.objects.using(conf.current().DATABASE)

    @property
    def groups(self) -> TaskGroupQuerySet:
        return TaskGroup.objects.using(conf.current().DATABASE)

    def send(self, parts: Sequence[Part]) -> None:
        with self.guarded():
            prepared = prepare([part for part in parts if isinstance(part, TaskMessage)])
        for sent in prepared:
            self.check_size(sent)
        # Written down here as well: at the end it would be too late to say that it cannot be.
        self.new_groups += [group_row(part) for part in parts if isinstance(part, NewGroup)]
        self.prepared += prepared

    def check_size(self, sent: Prepared) -> None:
        """The list of a header's results may be longer than a statement can be, however short each of them is."""
        if len(sent.envelope.body) <= SURELY_FITS:
            return
        size = bytes_in_statement(sent.envelope.to_text()) + ROOM_FOR_THE_REST
        most = most_bytes(connections[conf.current().DATABASE])
        if most is not None and size > most:
            raise EncodeError(
                f"The message of {sent.message.task} takes {size:,} bytes, but the database takes {most:,} in one "
                "statement. Return less (store the rest and return where it is), or set its max_allowed_packet."
            )

    def guarded(self) -> AbstractContextManager[object]:
        """Middleware of the project may ask the database; what goes wrong there must not break our transaction."""
        if conf.current().SEND_MIDDLEWARE:
            return transaction.atomic(using=conf.current().DATABASE)
        return nullcontext()

    def end(self, ended: Sequence[Ended]) -> list[Ended]:
        if not ended:
            return []
        known = self.tasks.known([one.message.id for one in ended])
        new = [one for one in ended if one.message.id not in known]
        self.tasks.insert([_row(one) for one in new if not one.message.ignore_result])
        put([_record(one) for one in new], {one.message.id: store_of(one.message.task) for one in new})
        announce(connections[self.tasks.db], ENDINGS)
        answer((one.message, _record(one)) for one in new)
        return new

    def count(self, ended: Sequence[Ended]) -> list[Complete]:
        counted: dict[str, tuple[int, int]] = {}
        for one in ended:
            group = one.message.group or ""
            over, failed = counted.get(group, (0, 0))
            counted[group] = (over + 1, failed + (one.status != states.SUCCESS))
        return [complete(row) for row in self.groups.tally(counted)] if counted else []

    def members(self, group_id: str) -> list[Member]:
        rows = list(self.tasks.members(group_id).values_list("id", "task", "status", "result"))
        kept = _kept_elsewhere([(id, task) for id, task, status, _ in rows if status == states.SUCCESS])
        found = [Member(id=id, status=status, text=kept.get(id, text)) for id, _, status, text in rows]
        # What is written is never nothing: its store has lost it.
        return [member for member in found if member.status != states.SUCCESS or member.text is not None]

    def call_errbacks(self, one: Ended) -> None:
        order = TaskMessage(
            id=new_task_id(),
            task=CALL_ERRBACKS,
            args=(one.message.id,),
            queue=one.message.queue,
            ignore_result=True,
        )
        # Not by the project's middleware: what that raises must not keep the end from being recorded.
        self.prepared.append(Prepared(message=order, envelope=encode(order)))

    def flush(self) -> None:
        """Send all that is to be sent. A task of which a row is there already was sent before, or may not be."""
        unsent = self.unsent() if self.prepared else []
        for start in range(0, len(unsent), SLICE):
            deliver(unsent[start : start + SLICE])
        open_groups(self.new_groups)

    def unsent(self) -> list[Prepared]:
        """Each id once: one callback may have been linked to several tasks."""
        known = self.tasks.known([sent.message.id for sent in self.prepared])
        fresh: dict[str, Prepared] = {}
        taken: set[str] = set()
        for sent in self.prepared:
            if sent.message.id in known or sent.message.id in fresh:
                taken.add(sent.message.id)
            else:
                fresh[sent.message.id] = sent
        if taken:
            logger.warning("Not sent, because their ids are taken: %s", ", ".join(sorted(taken)))
        return list(fresh.values())


def _kept_elsewhere(tasks: Sequence[tuple[str, str]]) -> dict[str, str | None]:
    """The results, by id, of those tasks (id and name) whose rows do not keep them, as far as they are there."""
    found: dict[str, str | None] = {}
    for name in {name for _, name in tasks}:
        store = store_of(name)
        if not store.rows_keep_results:
            kept = store.look_up_many([id for id, of in tasks if of == name])
            found.update((id, record.text) for id, record in kept.items())
    return found


def _row(one: Ended) -> TaskResult:
    row = TaskResult.of(one.message, encode(one.message))
    row.status, row.result = one.status, one.text
    row.finished_at = row.created_at
    return row


def _record(one: Ended) -> Record:
    return Record(id=one.message.id, status=one.status, text=one.text, finished_at=clock.now())


def complete(row: TaskGroup) -> Complete:
    body = None
    if row.body:
        body = loads(row.body, content_type="application/json", content_encoding="utf-8", accept=("json",))
    return Complete(id=row.id, total=row.total, body=body)
