"""How each database answers the queries of a page: which of its large tables it reads from one end to the other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

#: They grow with what was sent; the others have a row for each worker, queue or kind of thing.
LARGE = (
    "django_tasks_taskresult",
    "django_tasks_taskattempt",
    "django_tasks_failuregroup",
    "django_tasks_failurehour",
    "django_tasks_taskrollup",
    "django_tasks_queuedmessage",
)
#: It has claimed rows only, and no others: all of it is not much.
SMALL_INDEX = "django_tasks_result_owner"

Asked = tuple[str, Any]


def asked_by(visit: Callable[[], object]) -> list[Asked]:
    """What a visit asks of large tables, with the very parameters."""
    asked: list[Asked] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        visit()
    return [(sql, params) for sql, params in asked if sql.startswith("SELECT") and any(map(sql.count, LARGE))]


def scans(sql: str, params: Any) -> list[str]:
    """The steps that read a whole table, or a whole index without an end in sight."""
    with connection.cursor() as cursor, _preferring_indexes(cursor):
        return list(_FINDERS[connection.vendor](cursor, sql, params))


@contextmanager
def _preferring_indexes(cursor: Any) -> Iterator[None]:
    """A table of thousands is small to a planner, which may rightly read all of it. With millions it will not."""
    settings = {
        "postgresql": ("SET enable_seqscan = off", "RESET enable_seqscan"),
        "mysql": ("SET max_seeks_for_key = 10", "SET max_seeks_for_key = DEFAULT"),
    }
    first, last = settings.get(connection.vendor, ("", ""))
    if first:
        cursor.execute(first)
    yield
    if last:
        cursor.execute(last)


def _called(sql: str) -> set[str]:
    """The names under which a query speaks of large tables. What has none of them is the answer to a subquery."""
    found = re.findall(r"""(?:FROM|JOIN)\s+["`]?(\w+)["`]?(?:\s+(?:AS\s+)?["`]?(\w+))?""", sql)
    return {name for table, alias in found if table in LARGE for name in (table, alias) if name}


def _of_sqlite(cursor: Any, sql: str, params: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
    for *_, step in cursor.fetchall():
        verb, _, rest = step.partition(" ")
        is_whole = verb == "SCAN" and rest.partition(" ")[0] in _called(sql)
        is_short = " USING " in rest and (" LIMIT " in sql or SMALL_INDEX in rest)
        if is_whole and not is_short:
            yield step


def _of_postgresql(cursor: Any, sql: str, params: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
    (found,) = cursor.fetchone()
    (top,) = json.loads(found) if isinstance(found, str) else found
    return _of_node(top["Plan"], is_limited=False)


def _of_node(node: Any, *, is_limited: bool) -> Iterator[str]:
    kind, table, index = (node.get(name, "") for name in ("Node Type", "Relation Name", "Index Name"))
    is_walk = kind in ("Index Scan", "Index Only Scan", "Bitmap Index Scan") and "Index Cond" not in node
    if kind.endswith("Seq Scan") and table in LARGE:
        yield f"{kind} {table}"
    if is_walk and not is_limited and index != SMALL_INDEX:
        yield f"{kind} {table} {index}"
    for below in node.get("Plans", ()):
        # What is sorted, or summed up, has been read to its end.
        is_whole = kind in ("Sort", "Aggregate", "Hash")
        yield from _of_node(below, is_limited=(is_limited or kind == "Limit") and not is_whole)


def _of_mariadb(cursor: Any, sql: str, params: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN {sql}", params)
    names = [column[0] for column in cursor.description]
    for values in cursor.fetchall():
        step = dict(zip(names, values, strict=True))
        if step["table"] not in _called(sql):
            continue
        is_walk = step["type"] == "index" and (" LIMIT " not in sql or "filesort" in str(step["Extra"]))
        if step["type"] == "ALL" or is_walk:
            yield " ".join(str(step[name]) for name in ("table", "type", "key", "rows", "Extra"))


_FINDERS = {"sqlite": _of_sqlite, "postgresql": _of_postgresql, "mysql": _of_mariadb}
