"""What rows say, read through any connection: also through one that has no alias, because it was made to wait with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from django_tasks import clock, states
from django_tasks.models import TaskGroup, TaskResult
from django_tasks.models.batches import slices

from .store import Record

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import QuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a group is: what its row has counted."""

    total: int
    #: How many have ended, in whatever way.
    completed: int
    #: How many of these ended without success.
    failed: int
    is_ready: bool

    @classmethod
    def of(cls, total: int, pending: int, failed: int, finished_at: dt.datetime | None) -> Self:
        return cls(
            total=total,
            completed=total - max(0, pending),
            failed=failed,
            is_ready=finished_at is not None,
        )


def records(connection: BaseDatabaseWrapper, ids: Collection[str]) -> dict[str, tuple[str, Record]]:
    """The name and the record of those of these tasks that have a row, some hundred with each query."""
    found: dict[str, tuple[str, Record]] = {}
    for some in slices(askable(ids)):
        rows = TaskResult.objects.filter(id__in=some).values_list("id", "task", *_COLUMNS)
        found.update((id, (task, _record(id, *values))) for id, task, *values in _read(connection, rows))
    return found


def progress(connection: BaseDatabaseWrapper, group_id: str) -> Progress | None:
    counts = TaskGroup.objects.values_list("total", "pending", "failed", "finished_at")
    for id in askable([group_id]):
        for values in _read(connection, counts.filter(id=id)):
            return Progress.of(*values)
    return None


def existing(connection: BaseDatabaseWrapper, rows: QuerySet[Any]) -> set[str]:
    """The keys of these rows that `connection` sees."""
    return {key for (key,) in _read(connection, rows.values_list("pk"))}


def askable(ids: Iterable[str]) -> list[str]:
    """PostgreSQL does not let us ask for NUL, and ids come from URLs, too."""
    return [id for id in ids if "\x00" not in id]


_COLUMNS = ("status", "result", "traceback", "finished_at", "aborted")


def _record(
    id: str,
    status: str,
    text: str | None,
    traceback: str | None,
    finished_at: dt.datetime | None,
    aborted: bool,
) -> Record:
    return Record(
        id=id,
        status=states.ABORTED if aborted and status not in states.FINAL_STATES else status,
        text=text,
        traceback=traceback,
        finished_at=finished_at and clock.from_storage(finished_at),
    )


def _read(connection: BaseDatabaseWrapper, rows: QuerySet[Any, Any]) -> Iterator[Any]:
    return iter(rows.query.get_compiler(connection=connection).results_iter(tuple_expected=True))
