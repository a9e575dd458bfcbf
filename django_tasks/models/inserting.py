"""How new rows are written: many with few statements, in each database's own best way.

All ways write what `bulk_create` writes, as the conformance tests hold them to. That asks every value of every row how
it is to be compiled, which takes several times as long as the database does. The rows do not learn their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models
from django.db.models.base import ModelState

from .batches import slices
from .moments import adapted
from .together import held, joined

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    Way = Callable[[Sequence[models.Model], BaseDatabaseWrapper], None]

#: What PostgreSQL must be told: the type of a value before its column takes it. Others are numbers.
KINDS = {"CharField": "text", "TextField": "text", "DateTimeField": "timestamptz", "BooleanField": "boolean"}


def write(rows: Sequence[models.Model], connection: BaseDatabaseWrapper, *, at_once: int) -> None:
    """All of these rows of one model or, if one is refused, none; `at_once` with each statement."""
    way = WAYS.get(connection.vendor, bulk_create)
    with joined(connection):
        for some in slices(rows, at_once):
            way(some, connection)


M = TypeVar("M", bound=models.Model)


def new(model: type[M], **values: Any) -> M:
    """A row to be inserted. As `model(**values)`, which asks each field for its default anew and tells signals."""
    row = model.__new__(model)
    row._state = ModelState()
    row.__dict__.update(_defaults(model), **values)
    return row


@cache
def _defaults(model: type[models.Model]) -> dict[str, Any]:
    return {field.attname: field.get_default() for field in model._meta.concrete_fields}


def bulk_create(rows: Sequence[models.Model], connection: BaseDatabaseWrapper) -> None:
    """For every database Django knows."""
    type(rows[0])._default_manager.using(connection.alias).bulk_create(rows)


def many(rows: Sequence[models.Model], connection: BaseDatabaseWrapper, *, on_conflict: str = "") -> None:
    """For SQLite, which prepares the statement once, and MariaDB and MySQL, whose driver joins many rows into one."""
    columns = _values(rows, connection)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"{_into(type(rows[0]))} VALUES ({', '.join(['%s'] * len(columns))}) {on_conflict}",
            list(zip(*columns, strict=True)),
        )


def values(rows: Sequence[models.Model], connection: BaseDatabaseWrapper) -> None:
    """For PostgreSQL, which takes several statements that return nothing as one."""
    statement, parameters = (_alone if len(rows) == 1 else _among)(rows, connection)
    if waiting := held(connection):
        waiting.insert(type(rows[0])._meta.db_table, statement, parameters)
    else:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)


def _alone(rows: Sequence[models.Model], connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
    """A row that is sent by itself. What is empty in it is part of the statement, which is made once for many."""
    (row,) = rows
    found = [column[0] for column in _values(rows, connection)]
    empty = tuple(["NULL" if value is None else "''" if value == "" else "" for value in found])
    return _statement(type(row), empty), [value for value in found if value is not None and value != ""]


@lru_cache(maxsize=200)
def _statement(model: type[models.Model], empty: tuple[str, ...]) -> str:
    return f"{_into(model)} VALUES ({', '.join([literal or '%s' for literal in empty])})"


def _among(rows: Sequence[models.Model], connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
    """Rows of which what they have in common travels once.

    Not as arrays: psycopg escapes what is in them quote by quote, and a message is full of quotes.
    """
    model = type(rows[0])
    columns = dict(zip(_columns(model), _values(rows, connection), strict=True))
    key, *_ = columns
    differ = [
        name for name, column in columns.items() if name == key or column.count(column[0]) < len(column)
    ]
    chosen = [name if name in differ else f"%s::{kind}" for name, kind in _columns(model).items()]
    row = f"({', '.join(['%s'] * len(differ))})"
    common = [column[0] for name, column in columns.items() if name not in differ]
    others = chain.from_iterable(zip(*map(columns.__getitem__, differ), strict=True))
    statement = (
        f"{_into(model)} SELECT {', '.join(chosen)} "
        f"FROM (VALUES {', '.join([row] * len(rows))}) AS new({', '.join(differ)})"
    )
    return statement, [*common, *others]


WAYS: dict[str, Way] = {"sqlite": many, "mysql": many, "postgresql": values}


@cache
def _columns(model: type[models.Model]) -> dict[str, str]:
    """Those that the rows have values for, not the key that the database counts; and their types."""
    return {
        str(field.column): KINDS.get(field.get_internal_type(), "bigint")
        for field in model._meta.concrete_fields
        if not isinstance(field, models.AutoField)
    }


@cache
def _into(model: type[models.Model]) -> str:
    return f"INSERT INTO {model._meta.db_table} ({', '.join(_columns(model))})"


@cache
def _getter(model: type[models.Model]) -> Callable[[models.Model], tuple[Any, ...]]:
    return attrgetter(*_columns(model))


def _values(rows: Sequence[models.Model], connection: BaseDatabaseWrapper) -> list[Sequence[Any]]:
    """What the rows have, column by column. Of all that ours hold only moments are not what drivers take."""
    model = type(rows[0])
    return [
        adapted(column, connection) if kind == "timestamptz" else column
        for kind, column in zip(
            _columns(model).values(), zip(*map(_getter(model), rows), strict=True), strict=True
        )
    ]
