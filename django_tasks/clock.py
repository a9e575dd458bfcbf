"""Time: one place to ask for it, and to fake it in tests.

Leases and due moments are compared in database time, so that a machine whose clock is off harms nobody.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

UTC = dt.UTC

#: Seconds since the epoch, as each kind of database says it. SQLite runs on this machine: its time is ours.
#: MariaDB is asked for UTC: UNIX_TIMESTAMP(NOW(6)) is an hour off in the hour that summer time ends.
_EPOCH_SQL = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000",
}


def now() -> dt.datetime:
    """This machine's time, aware, in UTC."""
    return dt.datetime.now(UTC)


#: Seconds for which the distance between the server's clock and ours is taken as known.
_TRUSTED_FOR = 10.0
#: Per database alias: the server's epoch minus our monotonic clock, and when that was measured.
_offsets: dict[str, tuple[float, float]] = {}


def database_now(connection: BaseDatabaseWrapper) -> dt.datetime:
    """The database server's time, aware, in UTC. It is asked now and then; between, our own clock counts on."""
    here = monotonic()
    offset, measured = _offsets.get(connection.alias, (0.0, float("-inf")))
    if here - measured > _TRUSTED_FOR:
        offset = _server_epoch(connection) - monotonic()
        _offsets[connection.alias] = (offset, here)
    return dt.datetime.fromtimestamp(offset + monotonic(), UTC)


def _server_epoch(connection: BaseDatabaseWrapper) -> float:
    sql = _EPOCH_SQL.get(connection.vendor)
    if sql is None:
        return time.time()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (seconds,) = cursor.fetchone()
    return float(seconds)


def to_storage(moment: dt.datetime) -> dt.datetime:
    """`moment` as Django stores it: aware with `USE_TZ`, else naive in the project's time zone."""
    return moment if settings.USE_TZ else timezone.make_naive(moment, timezone.get_default_timezone())


def from_storage(moment: dt.datetime) -> dt.datetime:
    """The opposite of `to_storage`; also what a naive datetime given by a user means (FEATURES EXE-02)."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return moment.astimezone(UTC)


def monotonic() -> float:
    """Seconds that only grow, for measuring spans on this machine."""
    return time.monotonic()
