"""How many changed rows are written at once: one statement for all, in each database's own best way.

All ways do the same, as the conformance tests hold them to: write each `Change` to its row if `owner` still owns it,
and answer which were written. They run inside a transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django_tasks import clock
from django_tasks.message.saferepr import storable

from .batches import batch_size

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .result import Change, TaskResultQuerySet

Way = Callable[["TaskResultQuerySet", Sequence["Change"], str, "BaseDatabaseWrapper"], set[str]]

#: The columns a change writes, and their types where PostgreSQL must be told.
COLUMNS = {
    "status": "text",
    "result": "text",
    "traceback": "text",
    "worker": "text",
    "started_at": "timestamptz",
    "finished_at": "timestamptz",
    "claimed_by": "text",
}


def write(
    rows: TaskResultQuerySet, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    return WAYS.get(connection.vendor, upsert)(rows, changes, owner, connection)


def upsert(
    rows: TaskResultQuerySet, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """For every database Django knows: lock what is owned, then one INSERT that updates on conflict.

    `UPDATE … CASE WHEN`, which `bulk_update` writes, costs several times as much per row.
    """
    owned = _lock_owned(rows, changes, owner)
    found = [
        rows.model(
            id=change.id,
            created_at=_stored(clock.now()),  # for the INSERT that never happens; the column is not updated
            **dict(zip(COLUMNS, _values(change), strict=True)),
        )
        for change in changes
        if change.id in owned
    ]
    # MariaDB and MySQL update on any conflict and may not be told which; the others must be.
    unique = ["id"] if connection.features.supports_update_conflicts_with_target else None
    rows.model.objects.using(rows.db).bulk_create(
        found,
        batch_size=batch_size((row.result or "") + (row.traceback or "") for row in found),
        update_conflicts=True,
        update_fields=list(COLUMNS),
        unique_fields=unique,
    )
    return owned


def many(
    rows: TaskResultQuerySet, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """For SQLite, where a prepared UPDATE run per row inside one transaction costs a few microseconds."""
    owned = _lock_owned(rows, changes, owner)
    sets = ", ".join(f"{connection.ops.quote_name(column)} = %s" for column in COLUMNS)
    adapt = connection.ops.adapt_datetimefield_value
    parameters = [
        [*(adapt(value) if isinstance(value, dt.datetime) else value for value in _values(change)), change.id]
        for change in changes
        if change.id in owned
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {rows.model._meta.db_table} SET {sets} WHERE id = %s", parameters)
    return owned


def unnest(
    rows: TaskResultQuerySet, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """For PostgreSQL: the values travel as one array a column, whatever their number, and the fence is in the WHERE."""
    sets = ", ".join(f"{column} = new.{column}" for column in COLUMNS)
    arrays = ", ".join(["%s::text[]", *(f"%s::{kind}[]" for kind in COLUMNS.values())])
    columns = [
        list(column) for column in zip(*((change.id, *_values(change)) for change in changes), strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {rows.model._meta.db_table} AS old SET {sets} "
            f"FROM unnest({arrays}) AS new(id, {', '.join(COLUMNS)}) "
            "WHERE old.id = new.id AND old.claimed_by = %s RETURNING old.id",
            [*columns, owner],
        )
        return {id for (id,) in cursor.fetchall()}


WAYS: dict[str, Way] = {"sqlite": many, "postgresql": unnest}


def _lock_owned(rows: TaskResultQuerySet, changes: Sequence[Change], owner: str) -> set[str]:
    ids = sorted(change.id for change in changes)
    return set(rows.owned_by(owner).filter(id__in=ids).select_for_update().values_list("id", flat=True))


def _values(change: Change) -> tuple[Any, ...]:
    # JSON escapes what databases refuse; a traceback may quote it. One such text would hold up all changes.
    return (
        change.status,
        change.result,
        None if change.traceback is None else storable(change.traceback),
        change.worker,
        _stored(change.started_at),
        _stored(change.finished_at),
        change.owner,
    )


def _stored(moment: dt.datetime | None) -> Any:
    return None if moment is None else clock.to_storage(moment)
