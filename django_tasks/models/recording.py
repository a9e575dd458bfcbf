"""How many changed rows are written at once: one statement for all, in each database's own best way.

All ways do the same, as the conformance tests hold them to: write each `Change` to its row if `owner` still owns it,
and answer which were written. They run inside a transaction.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from django_tasks import clock
from django_tasks.message.saferepr import storable

from . import inserting
from .batches import batch_size
from .moments import adapted

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .result import TaskResult
    from .result_claims import ClaimedResults
    from .result_ends import Change

Way = Callable[["ClaimedResults", Sequence["Change"], str, "BaseDatabaseWrapper"], set[str]]

#: The columns a change writes, and their types where PostgreSQL must be told.
COLUMNS = {
    "status": "text",
    "result": "text",
    "traceback": "text",
    "worker": "text",
    "started_at": "timestamptz",
    "finished_at": "timestamptz",
    "claimed_by": "text",
    "fingerprint": "text",
}


def write(
    rows: ClaimedResults, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    return WAYS.get(connection.vendor, upsert)(rows, changes, owner, connection)


def upsert(
    rows: ClaimedResults, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """For every database Django knows: lock what is owned, then one INSERT that updates on conflict.

    `UPDATE … CASE WHEN`, which `bulk_update` writes, costs several times as much per row.
    """
    owned = rows.lock_owned([change.id for change in changes], owner)
    found = [_row(rows, change) for change in changes if change.id in owned]
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


def on_duplicate(
    rows: ClaimedResults, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """The same for MariaDB and MySQL, without the ORM's compiler, which takes most of the time of `bulk_create`."""
    owned = rows.lock_owned([change.id for change in changes], owner)
    updates = ", ".join(f"{column} = VALUES({column})" for column in COLUMNS)
    if found := [_row(rows, change) for change in changes if change.id in owned]:
        inserting.many(found, connection, on_conflict=f"ON DUPLICATE KEY UPDATE {updates}")
    return owned


def _row(rows: ClaimedResults, change: Change) -> TaskResult:
    """What is given to an INSERT that never happens; of it only `COLUMNS` are written."""
    values = dict(zip(COLUMNS, _values(change), strict=True))
    return inserting.new(rows.model, id=change.id, created_at=_stored(clock.now()), **values)


def many(
    rows: ClaimedResults, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """For SQLite, where a prepared UPDATE run per row inside one transaction costs a few microseconds."""
    owned = rows.lock_owned([change.id for change in changes], owner)
    sets = ", ".join(f"{connection.ops.quote_name(column)} = %s" for column in COLUMNS)
    if written := [change for change in changes if change.id in owned]:
        columns = [
            adapted(column, connection) if kind == "timestamptz" else column
            for kind, column in zip(COLUMNS.values(), zip(*map(_values, written), strict=True), strict=True)
        ]
        with connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {rows.model._meta.db_table} SET {sets} WHERE id = %s",
                list(zip(*columns, [change.id for change in written], strict=True)),
            )
    return owned


def from_json(
    rows: ClaimedResults, changes: Sequence[Change], owner: str, connection: BaseDatabaseWrapper
) -> set[str]:
    """For PostgreSQL: the values travel as one text, what they have in common once, and the fence is in the WHERE.

    Not as arrays: psycopg quotes what is in them one by one, which takes longer than all the rest.
    """
    columns = dict(zip(COLUMNS, zip(*map(_values, changes), strict=True), strict=True))
    differ = [name for name, column in columns.items() if column.count(column[0]) < len(column)]
    common = {name: column[0] for name, column in columns.items() if name not in differ}
    sets = [f"{name} = new.{name}" for name in differ] + [f"{name} = %s::{COLUMNS[name]}" for name in common]
    kinds = "".join(f", {name} {COLUMNS[name]}" for name in differ)
    new = zip([change.id for change in changes], *(columns[name] for name in differ), strict=True)
    text = json.dumps(
        [dict(zip(("id", *differ), row, strict=True)) for row in new], default=dt.datetime.isoformat
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {rows.model._meta.db_table} AS old SET {', '.join(sets)} "
            f"FROM json_to_recordset(%s::json) AS new(id text{kinds}) "
            # By the keys: see `owned_among`.
            "WHERE old.id = new.id AND COALESCE(old.claimed_by, '') = %s RETURNING old.id",
            [*common.values(), text, owner],
        )
        return {id for (id,) in cursor.fetchall()}


WAYS: dict[str, Way] = {"sqlite": many, "mysql": on_duplicate, "postgresql": from_json}


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
        change.fingerprint,
    )


def _stored(moment: dt.datetime | None) -> Any:
    return None if moment is None else clock.to_storage(moment)
