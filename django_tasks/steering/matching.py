"""Which tasks a list shows: what stands in its address, as a question to the rows.

The list asks so, and whoever acts on all that it shows asks the same again, batch by batch.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from django.db.models import F

from django_tasks import clock
from django_tasks.message.asked import is_name
from django_tasks.models.result import TaskResultQuerySet

from . import search

#: Times to choose among: what they are called in an address.
WINDOWS: Final[Mapping[str, dt.timedelta]] = {
    "1h": dt.timedelta(hours=1),
    "24h": dt.timedelta(hours=24),
    "7d": dt.timedelta(days=7),
    "30d": dt.timedelta(days=30),
}
#: What no index finds is looked for among the tasks of this time, where no other was chosen.
USUAL_WINDOW: Final = dt.timedelta(days=1)
#: The search, which is read after the others.
QUERY = "q"


def _group(rows: TaskResultQuerySet, value: str) -> TaskResultQuerySet:
    return rows.filter(group_id=value)


def _subject(rows: TaskResultQuerySet, value: str) -> TaskResultQuerySet:
    """`shop.order:17`."""
    kind, _, key = value.partition(":")
    return rows.about((kind, key)) if is_name(kind) and is_name(key) else rows.none()


def _window(rows: TaskResultQuerySet, value: str, now: dt.datetime | None = None) -> TaskResultQuerySet:
    return _since(rows, WINDOWS[value], now) if value in WINDOWS else rows.none()


def _since(rows: TaskResultQuerySet, span: dt.timedelta, now: dt.datetime | None) -> TaskResultQuerySet:
    return rows.filter(created_at__gte=clock.to_storage((now or clock.now()) - span))


def _slower(rows: TaskResultQuerySet, value: str) -> TaskResultQuerySet:
    if not value.isdecimal() or len(value) > 9:
        return rows.none()
    return rows.filter(finished_at__gte=F("started_at") + dt.timedelta(seconds=int(value)))


def _attempts(rows: TaskResultQuerySet, value: str) -> TaskResultQuerySet:
    """Tasks that were begun at least so often."""
    return rows.filter(retries__gte=int(value) - 1) if value.isdecimal() and len(value) < 9 else rows.none()


#: Parameters of a list's address, and what they ask of the rows.
PARAMETERS: Final[Mapping[str, Callable[[TaskResultQuerySet, str], TaskResultQuerySet]]] = {
    "status": lambda rows, value: rows.with_status(value),
    "task": lambda rows, value: rows.filter(task=value),
    "queue": lambda rows, value: rows.filter(queue=value),
    "group_id": _group,
    "origin": lambda rows, value: rows.came_of(value),
    "fingerprint": lambda rows, value: rows.failed_as(value),
    "subject": _subject,
    "window": _window,
    "slower": _slower,
    "attempts": _attempts,
}
#: Those that no index answers: they are asked of the tasks of a short time only.
UNINDEXED: Final = frozenset({"slower", "attempts"})

#: Those with an index of their own, in which the time comes next.
INDEXED_BY_TIME: Final = frozenset({"status", "task", "subject"})


def order(asked: Iterable[str]) -> tuple[str, ...]:
    """The order, the oldest first, in which an index finds what is asked for by these parameters, and then by keys."""
    if "fingerprint" in asked:
        return ("finished_at",)
    if "group_id" in asked:
        return ("group_index",)
    # The index of all tasks has their queues. MariaDB, which sorts all or nothing, would sort the whole table.
    return ("created_at",) if INDEXED_BY_TIME.intersection(asked) else ("created_at", "queue")


def known(parameters: Mapping[str, str]) -> dict[str, str]:
    """Those that are a question to the rows."""
    return {name: value for name, value in parameters.items() if name in PARAMETERS or name == QUERY}


def having(rows: TaskResultQuerySet, parameter: str, value: str) -> TaskResultQuerySet:
    """The rows that one parameter leaves."""
    # PostgreSQL refuses to be asked for NUL, which no row has.
    return rows.none() if "\x00" in value else PARAMETERS[parameter](rows, value)


def matching(
    rows: TaskResultQuerySet, asked: Mapping[str, str], now: dt.datetime | None = None
) -> TaskResultQuerySet:
    """The rows that all of a list's parameters leave; what is no parameter is none of our business.

    `now` is when it was asked, if that is not now: the last 24 hours are those before.
    """
    for parameter in (PARAMETERS.keys() & asked.keys()) - {"window"}:
        rows = having(rows, parameter, asked[parameter])
    if "window" in asked:
        rows = _window(rows, asked["window"], now)
    return searched(bounded(rows, asked, now), asked.get(QUERY, ""), asked, now)


def bounded(
    rows: TaskResultQuerySet, asked: Mapping[str, str], now: dt.datetime | None = None
) -> TaskResultQuerySet:
    """Of a question without an index, the tasks of a day, if no time was chosen."""
    is_bounded = "window" in asked or not UNINDEXED & asked.keys()
    return rows if is_bounded else _since(rows, USUAL_WINDOW, now)


def searched(
    rows: TaskResultQuerySet, text: str, asked: Mapping[str, str], now: dt.datetime | None = None
) -> TaskResultQuerySet:
    """Those of them that a search finds; likewise of a day."""
    if not text.strip():
        return rows
    if "window" not in asked and search.parse(text).is_slow:
        rows = _since(rows, USUAL_WINDOW, now)
    return search.found(rows, text)
