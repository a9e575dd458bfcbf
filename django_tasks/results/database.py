"""What is known of tasks: asked of the store first, and of their rows."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from django.db import IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasks import clock, conf, states
from django_tasks.exceptions import DuplicateTaskId, TaskRevokedError
from django_tasks.handlers import later
from django_tasks.message.errors import write_error
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.models import TaskAttempt, TaskGroup, TaskResult
from django_tasks.models.batches import slices
from django_tasks.models.group import TaskGroupQuerySet
from django_tasks.models.result import TaskResultQuerySet
from django_tasks.models.watch import ENDINGS, announce

from . import reading
from .handler import put, store, store_of
from .reading import Progress
from .store import Facts, Record, ResultStore
from .waiting import Awaited, looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A task that another one sent, and the group that it sent it in, if it did so."""

    parent: str
    id: str
    group: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedGroup:
    """What is known of a group that somebody wants to have a handle on again."""

    #: What was saved; without it the rows of the tasks say which these are.
    text: str | None
    parent_id: str | None
    members: list[str]
    #: Whether it has more tasks than that: of chains that have not come to their last step.
    grows: bool


#: Above us: what was to come after a task ends with it.
follow_revoked = later("django_tasks.execution.ends.follow_revoked")


class Results:
    """What a sender and whoever holds an `AsyncResult` ask for."""

    @property
    def alias(self) -> str:
        return conf.current().DATABASE

    @property
    def rows(self) -> TaskResultQuerySet:
        return TaskResult.objects.using(self.alias)

    @property
    def groups(self) -> TaskGroupQuerySet:
        return TaskGroup.objects.using(self.alias)

    def _row(self, id: str) -> TaskResultQuerySet:
        """The row of a task, if there is one. PostgreSQL does not let us ask for NUL, and ids come from URLs, too."""
        return self.rows.none() if "\x00" in id else self.rows.filter(id=id)

    def open(self, sent: Sequence[tuple[TaskMessage, Envelope]]) -> None:
        """Make the rows of tasks being sent. Raises `DuplicateTaskId` if an id is taken."""
        with self.refusing_taken([message.id for message, _ in sent]):
            self.rows.insert([TaskResult.of(message, envelope) for message, envelope in sent])

    @contextlib.contextmanager
    def refusing_taken(self, ids: Sequence[str]) -> Iterator[None]:
        """Around what inserts the rows with these ids: raises `DuplicateTaskId` if one of them is there."""
        try:
            yield
        except IntegrityError as error:
            taken = ", ".join(ids) if len(ids) < 4 else f"one of {len(ids)} ids"
            raise DuplicateTaskId(
                f"task_id {taken} is taken by another task. Choose one that was never used, or leave it out."
            ) from error

    # -- asking

    def look_up(self, id: str, backend: str | None = None) -> Record:
        """`backend` names the store to ask first, if the task is known to have one of its own."""
        return self._look_up([id], connections[self.alias], store(backend))[id]

    def look_up_many(self, ids: Iterable[str]) -> dict[str, Record]:
        """What is known of each of these tasks, some hundred with each question."""
        return self._look_up(ids, connections[self.alias], store())

    def look_up_parts(self, ids: Sequence[str]) -> Iterator[dict[str, Record]]:
        """`look_up_many`, question by question, for those who may hear enough before the last one."""
        return (self.look_up_many(some) for some in slices(ids))

    def _look_up(
        self, ids: Iterable[str], connection: BaseDatabaseWrapper, first: ResultStore
    ) -> dict[str, Record]:
        found = {id: Record(id=id) for id in ids}
        for some in slices(list(found)):
            found |= self._look_up_some(some, connection, first)
        return found

    def _look_up_first(
        self, ids: Iterable[str], connection: BaseDatabaseWrapper, first: ResultStore
    ) -> dict[str, Record]:
        """`_look_up` up to the first question to which the answer is that not all have ended."""
        found: dict[str, Record] = {}
        for some in slices(list(ids)):
            found |= self._look_up(some, connection, first)
            if not all(found[id].is_ready for id in some):
                break
        return found

    def _look_up_some(
        self, ids: Sequence[str], connection: BaseDatabaseWrapper, first: ResultStore
    ) -> dict[str, Record]:
        kept = first.look_up_many(ids) if first.keeps_endings else {}
        asked = [id for id in ids if id not in kept]
        rows = reading.records(connection, asked)
        found = {id: record for id, (_, record) in rows.items()}
        keepers = {id: store_of(rows[id][0]) if id in rows else first for id in asked}
        for keeper in set(keepers.values()):
            theirs = [id for id in asked if keepers[id] is keeper]
            if keeper is first and first.keeps_endings:
                # It was asked before. If it is the only one to have results, some may have ended between our questions.
                theirs = [
                    id for id in theirs if id in found and found[id].is_ready and not first.rows_keep_results
                ]
            if theirs:
                found |= keeper.look_up_many(theirs)
        return found | kept

    def facts(self, id: str) -> Facts:
        """What is known of it besides its state."""
        row = self._row(id).defer("result", "traceback").first()
        if row is None:
            return Facts()
        order = row.order(conf.current().ACCEPT_CONTENT)
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

    def children(self, ids: Sequence[str]) -> list[Child]:
        """What these tasks sent, the first one first."""
        found = [child for some in slices(reading.askable(ids)) for child in self._children(some)]
        senders = self._senders_of({child.group for child in found if child.group is not None})
        # The last step of a chain counts for a group, too, which somebody else has sent.
        return [
            child if senders.get(child.group or "") == child.parent else replace(child, group=None)
            for child in found
        ]

    def _children(self, ids: Sequence[str]) -> list[Child]:
        rows = self.rows.filter(parent_id__in=ids).order_by("created_at", "id")
        return [
            Child(parent=str(parent), id=id, group=group)
            for parent, id, group in rows.values_list("parent_id", "id", "group_id")
        ]

    def _senders_of(self, ids: Collection[str]) -> dict[str, str | None]:
        """Who sent these groups."""
        found: dict[str, str | None] = {}
        for some in slices(sorted(ids)):
            found.update(self.groups.filter(id__in=some).values_list("id", "parent_id"))
        return found

    def members(self, group_ids: Iterable[str]) -> dict[str, list[str]]:
        """The ids of the tasks of each of these groups, in its order."""
        found: dict[str, list[str]] = {id: [] for id in group_ids}
        for some in slices(reading.askable(found)):
            rows = self.rows.filter(group_id__in=some).order_by("group_index", "created_at", "id")
            for group, id in rows.values_list("group_id", "id"):
                found[str(group)].append(id)
        return found

    def first_failure(self, group_id: str) -> Record | None:
        """What the first of a group's tasks that failed has to say, if one did."""
        failed = self.rows.members(group_id).filter(status__in=states.PROPAGATE_STATES)
        found = failed.values_list("id", flat=True).first()
        return None if found is None else self.look_up(found)

    def progress(self, group_id: str) -> Progress | None:
        """How far a group is, if it has a row."""
        return self._progress(group_id, connections[self.alias])

    def _progress(self, group_id: str, connection: BaseDatabaseWrapper) -> Progress | None:
        # Where results are disabled the store says so, though the row would count on.
        store().look_up_many([])
        return reading.progress(connection, group_id)

    # -- groups that were saved

    def save_group(self, id: str, text: str) -> None:
        """Keep a text in the group's row, or in one of its own: a group of a chain has none before its turn comes."""
        if not self.groups.filter(id=id).update(saved=text):
            now = clock.to_storage(clock.now())
            made = {"saved": text, "total": 0, "pending": 0, "created_at": now, "finished_at": now}
            self.groups.update_or_create(id=_saved_id(id), defaults={"saved": text}, create_defaults=made)

    def unsave_group(self, id: str) -> None:
        self.groups.filter(id=id).update(saved=None)
        self.groups.filter(id=_saved_id(id)).delete()

    def saved_group(self, id: str) -> SavedGroup:
        """What was saved of a group, or else what its rows say."""
        ids = reading.askable([id, _saved_id(id)])
        rows = {row.id: row for row in self.groups.filter(id__in=ids).defer("body")}
        text = next((row.saved for row in rows.values() if row.saved is not None), None)
        own = rows.get(id)
        members = self.members([id])[id] if text is None else []
        return SavedGroup(
            text=text,
            parent_id=None if own is None else own.parent_id,
            members=members,
            grows=own is not None and len(members) < own.total,
        )

    # -- waiting

    def wait(
        self,
        id: str,
        *,
        timeout: float | None,
        interval: float | None,
        on_change: Callable[[Record], object] = lambda record: None,
        backend: str | None = None,
    ) -> Record:
        """The final record, as soon as there is one; `on_change` is called with each that is seen on the way.

        Raises `TimeoutError` after `timeout` seconds.
        """
        awaited = Awaited(
            name=f"task {id}",
            look=lambda connection: self._look_up([id], connection, store(backend))[id],
            rows=[self._row(id)],
            late=lambda record: f"Task {id} is {record.status} after {timeout} seconds; it goes on.",
        )
        last = Record(id=id)
        with contextlib.closing(looks(self.alias, awaited, timeout=timeout, interval=interval)) as seen:
            while not last.is_ready:
                before, last = last, next(seen)
                if last != before:
                    on_change(last)
        return last

    def endings(
        self,
        ids: Sequence[str],
        *,
        timeout: float | None,
        interval: float | None,
        in_order: bool = False,
        on_change: Callable[[Record], object] = lambda record: None,
    ) -> Generator[Record]:
        """The final record of each of these tasks, as they come; `on_change` as for `wait`.

        With `in_order` nobody is asked for later ones before some hundred earlier ones have ended, which is cheap for
        those who need them all anyway. Raises `TimeoutError` if not all have come after `timeout` seconds.
        """
        last = {id: Record(id=id) for id in ids}
        look = self._look_up_first if in_order else self._look_up
        awaited = Awaited(
            name=f"{len(last)} tasks",
            look=lambda connection: look(last, connection, store()),
            rows=(self.rows.filter(id__in=some) for some in slices(reading.askable(ids))),
            late=lambda seen: (
                f"{len(last)} of {len(ids)} tasks have not ended after {timeout} seconds; they go on."
            ),
        )
        with contextlib.closing(looks(self.alias, awaited, timeout=timeout, interval=interval)) as seen:
            while last:
                for record in next(seen).values():
                    if record != last[record.id]:
                        last[record.id] = record
                        on_change(record)
                    if record.is_ready:
                        del last[record.id]
                        yield record

    def progresses(
        self, group_id: str, *, timeout: float | None, interval: float | None
    ) -> Generator[Progress | None]:
        """How far a group is, now and each time there may be something new; `None` if it has no row.

        Raises `TimeoutError` after `timeout` seconds.
        """
        awaited = Awaited(
            name=f"group {group_id}",
            look=lambda connection: self._progress(group_id, connection),
            rows=[self.groups.filter(id=group_id)],
            late=lambda progress: (
                f"{progress.completed if progress else 0} of {progress.total if progress else 0} tasks of group "
                f"{group_id} have ended after {timeout} seconds; the others go on."
            ),
        )
        return looks(self.alias, awaited, timeout=timeout, interval=interval)

    # -- changing

    def report(self, id: str, state: str, text: str) -> bool:
        """Show a state of its own for a task that has not ended, whoever runs it. False if there is none."""
        return self._change(id, status=state, result=text)

    def forget(self, id: str) -> None:
        """Remove what is kept of a finished task."""
        self.forget_many([id])

    def forget_many(self, ids: Iterable[str]) -> None:
        """Remove what is kept of those of these tasks that have finished."""
        for some in slices(list(ids)):
            rows = self.rows.filter(id__in=reading.askable(some))
            keepers = self._keepers(rows)
            kept = set() if rows.final().delete()[0] == len(some) else set(rows.values_list("id", flat=True))
            TaskAttempt.objects.using(self.alias).forget(keepers.keys() - kept)
            for keeper in {store(), *keepers.values()}:
                keeper.forget_many(
                    [id for id in some if id not in kept and keepers.get(id, store()) is keeper]
                )

    def _keepers(self, rows: TaskResultQuerySet) -> dict[str, ResultStore]:
        """The store of each of these tasks, by its id: the rows know whose they are."""
        return {id: store_of(task) for id, task in rows.values_list("id", "task")}

    def forget_groups(self, ids: Sequence[str]) -> None:
        """Remove the rows of those of these groups that have finished, and what was saved of them."""
        for some in slices(reading.askable([key for id in ids for key in (id, _saved_id(id))])):
            self.groups.filter(id__in=some).exclude(finished_at=None).delete()

    def revoke(self, id: str, *, terminate: bool = False) -> bool:
        """End a task that has not begun. False if it has; then `terminate` asks whoever runs it to stop it."""
        return self.revoke_many([id], terminate=terminate) == 1

    def revoke_many(self, ids: Iterable[str], *, terminate: bool = False, why: str = "revoked") -> int:
        """End those of these tasks that have not begun, and say how many these were. For the others see `revoke`."""
        return sum(self._revoke(some, terminate, why) for some in slices(reading.askable(ids)))

    def _revoke(self, ids: Sequence[str], terminate: bool, why: str) -> int:
        text, now = write_error(TaskRevokedError(why)), clock.now()
        with transaction.atomic(using=self.alias, savepoint=False):
            revoked = self.rows.lock_waiting(ids)
            if revoked:
                self.rows.revoke(revoked, text)
                ended = [Record(id=id, status=states.REVOKED, text=text, finished_at=now) for id in revoked]
                put(ended, self._keepers(self.rows.filter(id__in=revoked)))
                announce(connections[self.alias], ENDINGS)
                follow_revoked(revoked, text)
            if terminate and len(revoked) < len(ids):
                self.rows.ask_to_terminate(set(ids).difference(revoked))
        return len(revoked)

    def abort(self, id: str) -> bool:
        """Ask the body of a task that has not ended to stop. False if there is none."""
        return self._change(id, aborted=True)

    def _change(self, id: str, **columns: object) -> bool:
        """Tell of a task that has not ended; whoever waits for it looks again."""
        changed = self._row(id).not_final().update(**columns) == 1
        if changed:
            announce(connections[self.alias], ENDINGS)
        return changed

    def is_aborted(self, id: str) -> bool:
        return self._row(id).filter(aborted=True).exists()


def _saved_id(id: str) -> str:
    """The key of a row that has nothing but what was saved. Ids may be as long as the column."""
    return f"saved.{hashlib.sha256(id.encode(errors='surrogatepass')).hexdigest()}"
