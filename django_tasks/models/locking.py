"""Rows that are read to be changed: nobody else changes them until the transaction ends."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import connections, models

Rows = TypeVar("Rows", bound=models.QuerySet[Any])


def begin_to_write(rows: models.QuerySet[Any]) -> None:
    """SQLite: a transaction that reads first cannot wait for another writer when it comes to write; it fails.

    So it begins with a statement that writes nothing, unless the project has each begin with the lock.
    """
    connection = connections[rows.db]
    if connection.vendor != "sqlite" or getattr(connection, "transaction_mode", None) not in (
        None,
        "DEFERRED",
    ):
        return
    table, key = map(connection.ops.quote_name, (rows.model._meta.db_table, rows.model._meta.pk.column))
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {key} = {key} WHERE {key} IS NULL")


def lock_free(rows: Rows) -> Rows:
    """Locked when they are read; those that somebody else has locked are passed over."""
    skip = connections[rows.db].features.has_select_for_update_skip_locked
    return rows.select_for_update(skip_locked=skip)
