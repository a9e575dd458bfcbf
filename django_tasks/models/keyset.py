"""Turning the pages of a long list: what comes behind a row is looked up, not counted off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models import Q
from django.db.models.expressions import RawSQL

Rows = TypeVar("Rows", bound="models.QuerySet[Any]")


def behind(rows: Rows, order: Sequence[str], values: Sequence[Any]) -> Rows:
    """Of rows in this order, as for `order_by` and by a unique column at last, those behind one with these values."""
    key = rows.model._meta.pk.name
    columns = [key if column in ("pk", "-pk") else column.lstrip("-") for column in order]
    descending = [column.startswith("-") for column in order]
    # A bound that every database knows to begin at, whatever it makes of the rest.
    first = {f"{columns[0]}__{'lte' if descending[0] else 'gte'}": values[0]}
    if len(set(descending)) == 1:
        return rows.filter(_as_a_row(rows, columns, values, "<" if descending[0] else ">"), **first)
    return rows.filter(_one_by_one(columns, descending, values), **first)


def _as_a_row(rows: models.QuerySet[Any], columns: list[str], values: Sequence[Any], sign: str) -> RawSQL:
    """As a row, because only so PostgreSQL begins there in the index instead of filtering what it passes."""
    connection = connections[rows.db]
    quote = connection.ops.quote_name
    table = quote(rows.model._meta.db_table)
    names = ", ".join(f"{table}.{quote(rows.model._meta.get_field(name).column)}" for name in columns)
    places = ", ".join(["%s"] * len(columns))
    adapt = connection.ops.adapt_datetimefield_value
    written = [adapt(value) if isinstance(value, dt.datetime) else value for value in values]
    return RawSQL(f"({names}) {sign} ({places})", written, models.BooleanField())


def _one_by_one(columns: list[str], descending: list[bool], values: Sequence[Any]) -> Q:
    """Behind in the first column, or the same there and behind in the second, and so on."""
    alternatives = []
    for place, column in enumerate(columns):
        same = dict(zip(columns[:place], values[:place], strict=True))
        alternatives.append(Q(**same, **{f"{column}__{'lt' if descending[place] else 'gt'}": values[place]}))
    return reduce(or_, alternatives)


def reverse(order: Sequence[str]) -> list[str]:
    return [column.removeprefix("-") if column.startswith("-") else f"-{column}" for column in order]
