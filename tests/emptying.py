"""How the tables are emptied after a test whose transactions were real.

Django truncates all of them, and fills those anew that `migrate` fills. On PostgreSQL that takes longer than most tests
do, as each table becomes a new file; so rows are deleted, and what `migrate` has made stays.
"""

from __future__ import annotations

from collections.abc import Collection

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sites.models import Site
from django.db import connection, transaction

#: What `migrate` has filled, and no test writes to.
KEPT = {model._meta.db_table for model in (ContentType, Permission, Site)}
#: Bytes. PostgreSQL keeps what was deleted for a while: after many tests, or a large one, the next ones would notice.
LARGE = 256 * 1024


def empty_tables() -> None:
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} - KEPT
    with connection.constraint_checks_disabled(), transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A worker that was killed may still have a transaction there: wait for its end.
            cursor.execute(f"LOCK TABLE {_quoted(tables)} IN EXCLUSIVE MODE")
            if large := _large(tables):
                cursor.execute(f"TRUNCATE {_quoted(large)}")
        for table in sorted(tables):
            cursor.execute(f"DELETE FROM {_quoted([table])}")


def _large(tables: Collection[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE pg_table_size(name::regclass) > %s",
            [sorted(tables), LARGE],
        )
        return [name for (name,) in cursor.fetchall()]


def _quoted(tables: Collection[str]) -> str:
    return ", ".join(connection.ops.quote_name(table) for table in sorted(tables))
