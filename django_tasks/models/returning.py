"""An UPDATE that says which rows it has changed, where the database can: PostgreSQL, and SQLite since 3.35."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.db import connections, models
from django.db.models.sql import UpdateQuery

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def can_return(connection: BaseDatabaseWrapper) -> bool:
    # Of MariaDB only an INSERT does.
    return connection.vendor in ("postgresql", "sqlite") and bool(
        connection.features.can_return_rows_from_bulk_insert
    )


def update(rows: models.QuerySet[Any], **values: Any) -> set[Any]:
    """`rows.update(**values)`; the primary keys of those rows."""
    connection = connections[rows.db]
    query = cast("UpdateQuery", rows.query.chain(UpdateQuery))
    query.add_update_values(values)
    statement, parameters = query.get_compiler(using=rows.db).as_sql()
    key = connection.ops.quote_name(rows.model._meta.pk.column)
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} RETURNING {key}", parameters)
        return {found for (found,) in cursor.fetchall()}
