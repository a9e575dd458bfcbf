"""Counting no further than anybody wants to know, and many such questions in one statement."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Self, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

Name = TypeVar("Name", bound=Hashable)
#: A question that has one value for an answer: its SQL, and what goes into it.
Question = tuple[str, Sequence[Any]]

#: So far rows are counted.
MOST = 10_000


class Count(int):
    """How many there are; if `is_capped`, there are more."""

    is_capped: bool

    def __new__(cls, number: int = 0, *, is_capped: bool = False) -> Self:
        made = super().__new__(cls, number)
        made.is_capped = is_capped
        return made

    @classmethod
    def of(cls, number: int, most: int | None) -> Self:
        """What was counted as far as one more than `most`."""
        is_capped = most is not None and number > most
        return cls(most if is_capped and most is not None else number, is_capped=is_capped)

    def __str__(self) -> str:
        return f"{int(self):,}{'+' if self.is_capped else ''}"

    def and_also(self, *others: Count) -> Count:
        """All of them together."""
        several = (self, *others)
        return Count(sum(map(int, several)), is_capped=any(one.is_capped for one in several))

    def less(self, other: Count) -> Count:
        return Count(max(int(self) - int(other), 0), is_capped=self.is_capped)


def counts(
    questions: Mapping[Name, QuerySet[Any]], using: str, most: int = MOST, column: str = "pk"
) -> dict[Name, Count]:
    """How many rows each of these finds, as far as `most`; one statement for all.

    The database stops when it has found that many, so each should be answered by an index; `column` is one that the
    index has, so that no row is read.
    """
    asked = [how_many(rows.values(column), using, most) for rows in questions.values()]
    answers = one_row(asked, using) if asked else ()
    return {name: Count.of(number, most) for name, number in zip(questions, answers, strict=True)}


def how_many(rows: QuerySet[Any, Any], using: str, most: int | None) -> Question:
    """Asks for their number, as far as one more than `most`."""
    try:
        sql, values = compiled(rows.order_by()[: None if most is None else most + 1], using)
    except EmptyResultSet:
        return "0", ()
    return f"(SELECT COUNT(*) FROM ({sql}) found)", values


def compiled(rows: QuerySet[Any, Any], using: str) -> Question:
    sql, values = rows.query.get_compiler(using).as_sql()
    return sql, values


def one_row(questions: Iterable[Question], using: str) -> Sequence[Any]:
    """The answers to all of them, by one statement, which the ORM cannot make of queries beside one another."""
    several = list(questions)
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(sql for sql, _ in several)}",
            list(chain.from_iterable(values for _, values in several)),
        )
        row: Sequence[Any] = cursor.fetchone()
    return row
