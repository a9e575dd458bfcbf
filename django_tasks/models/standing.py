"""How many messages stand in the queues, and since when: by one statement, however many there are.

A COUNT(*) reads all that fits; here each may be told where to stop.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import DateTimeField, Value

from .counting import Count, Question, compiled, how_many, one_row
from .queue import QueuedMessage, QueuedMessageQuerySet

#: Those that a message may have.
PRIORITIES = range(10)
#: Queues that one statement is about: a row has only so many columns.
AT_ONCE = 100

#: Stands in a query for the name of a queue, which it cannot be.
_SOME_QUEUE = "any?"

STATES = tuple(QueuedMessage.State.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in one queue. Counts end where they were told to."""

    ready: Count
    claimed: Count
    parked: Count
    aside: Count
    #: Since when the oldest of those that are ready has waited, as the database has it.
    oldest: dt.datetime | None


def queues(rows: QueuedMessageQuerySet) -> list[str]:
    """The queues of which a message is stored, declared or not.

    From one to the next in the index: DISTINCT reads all of it, but for MySQL and MariaDB, which know how to.
    """
    connection, table = connections[rows.db], QueuedMessage._meta.db_table
    if connection.vendor == "mysql":
        return sorted({queue for _, queue in rows.order_by().values_list("state", "queue").distinct()})
    quoted, queue, state = map(connection.ops.quote_name, (table, "queue", "state"))
    steps, selects = [], []
    for number, value in enumerate(STATES):
        first = f"SELECT MIN({queue}) FROM {quoted} WHERE {state} = '{value}'"
        after = f"{first} AND {queue} > s{number}.name"
        steps.append(
            f"s{number}(name) AS ({first} UNION ALL SELECT ({after}) FROM s{number} WHERE s{number}.name IS NOT NULL)"
        )
        selects.append(f"SELECT name FROM s{number} WHERE name IS NOT NULL")
    with connection.cursor() as cursor:
        cursor.execute(f"WITH RECURSIVE {', '.join(steps)} {' UNION '.join(selects)}")
        return sorted(name for (name,) in cursor.fetchall())


def standings(
    rows: QueuedMessageQuerySet,
    names: Sequence[str],
    most: int | None = None,
    beside: Sequence[Question] = (),
) -> tuple[dict[str, Standing], Sequence[Any]]:
    """What stands in these queues, with `most` counted no further; and the answers to what is asked `beside`.

    By one statement for each `AT_ONCE` queues.
    """
    each = _questions(rows, most)
    found: dict[str, Standing] = {}
    answers: Sequence[Any] = ()
    for start in range(0, max(len(names), 1), AT_ONCE):
        some = names[start : start + AT_ONCE]
        asked = [question for name in some for question in _about(name, each)]
        row = one_row([*(beside if start == 0 else ()), *asked], rows.db)
        if start == 0:
            answers, row = row[: len(beside)], row[len(beside) :]
        for at, name in enumerate(some):
            found[name] = _read(row[len(each) * at : len(each) * (at + 1)], most, connections[rows.db])
    return found, answers


def _questions(rows: QueuedMessageQuerySet, most: int | None) -> list[Question]:
    """What is asked of each queue, compiled once for all of them."""
    counted = [
        how_many(rows.filter(state=state, queue=_SOME_QUEUE).values("id"), rows.db, most) for state in STATES
    ]
    # For each priority the first one is known to the index; over all of them the oldest is not.
    first = [
        compiled(
            rows.ready()
            .filter(queue=_SOME_QUEUE, priority=priority)
            .order_by("sent_at")
            .values("sent_at")[:1],
            rows.db,
        )
        for priority in PRIORITIES
    ]
    return [*counted, *((f"({sql})", values) for sql, values in first)]


def _about(name: str, questions: Sequence[Question]) -> list[Question]:
    return [(sql, [name if value == _SOME_QUEUE else value for value in values]) for sql, values in questions]


def _read(row: Sequence[Any], most: int | None, connection: Any) -> Standing:
    counts = {state: Count.of(number, most) for state, number in zip(STATES, row, strict=False)}
    moments = [_moment(value, connection) for value in row[len(STATES) :] if value is not None]
    return Standing(**counts, oldest=min(moments, default=None))


def _moment(value: Any, connection: Any) -> dt.datetime:
    """As the ORM would have read it."""
    column = Value(None, output_field=DateTimeField())
    for convert in connection.ops.get_db_converters(column):
        value = convert(value, column, connection)
    found: dt.datetime = value
    return found
