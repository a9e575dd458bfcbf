"""Moments as drivers take them: what Django would give them, without asking it about each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

UTC = dt.UTC


def adapted(moments: Iterable[dt.datetime | None], connection: BaseDatabaseWrapper) -> list[Any]:
    adapt = connection.ops.adapt_datetimefield_value
    if connection.vendor not in ("sqlite", "mysql") or connection.timezone is not UTC:
        return list(map(adapt, moments))
    # Where the database is in UTC a moment in UTC is written as it is; Django comes to that by way of time zones.
    return [
        str(moment.replace(tzinfo=None)) if moment is not None and moment.tzinfo is UTC else adapt(moment)
        for moment in moments
    ]
