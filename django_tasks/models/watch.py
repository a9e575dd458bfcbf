"""Hearing that the database has something new, without asking it all the time.

PostgreSQL tells (LISTEN/NOTIFY, with psycopg 3), SQLite shows a number that changes with every commit of another
connection (`PRAGMA data_version`), and others are asked, more seldom the longer nothing comes. Hearing is only for
speed: whoever watches also looks by itself now and then, so a notice lost costs time, never a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_tasks import clock
from django_tasks.service import readable

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: Messages were put into a queue.
ARRIVALS = "django_tasks_arrivals"
#: Tasks ended.
ENDINGS = "django_tasks_endings"


class Watch:
    """Asks: every look may find something. For databases that give no sign."""

    #: Seconds between looks at first, and the most they grow to while nothing comes.
    shortest, longest = 0.02, 0.5
    # Does the database give a sign, so that `changed` means something?
    gives_signs = False
    #: A descriptor that becomes readable when there is something, if the database has one.
    fd: int | None = None

    def __init__(self, connection: BaseDatabaseWrapper, topic: str) -> None:
        self.connection = connection
        self.raw: Any = connection.connection
        self.topic = topic
        self.pause = self.shortest

    def is_of(self, connection: BaseDatabaseWrapper) -> bool:
        """Does it watch through this connection, which has not been made anew since?"""
        return self.connection is connection and self.raw is connection.connection

    def wait(self, seconds: float) -> None:
        """Until there may be something new since the last look, `seconds` at the most."""
        ends = clock.monotonic() + seconds
        # A query that was run meanwhile may have heard already what a descriptor would tell.
        heard = self.gives_signs and self.changed()
        while not heard and (left := ends - clock.monotonic()) > 0:
            readable([] if self.fd is None else [self.fd], min(left, self.pause))
            self.found(False)
            heard = self.changed()

    def changed(self) -> bool:
        """May there be something new since the last call? Cheap."""
        return True

    def found(self, something: bool) -> None:
        """Tell the watch whether there really was something: it looks more often, or less."""
        self.pause = self.shortest if something else min(self.pause * 1.5, self.longest)

    def close(self) -> None:
        """Leave the connection as it was."""


class DataVersionWatch(Watch):
    """SQLite: a look costs microseconds and takes no lock, so it is repeated every few milliseconds."""

    shortest, longest = 0.005, 0.01
    gives_signs = True

    def __init__(self, connection: BaseDatabaseWrapper, topic: str) -> None:
        super().__init__(connection, topic)
        self.version = -1

    def changed(self) -> bool:
        self.connection.ensure_connection()
        (version,) = self.connection.connection.execute("PRAGMA data_version").fetchone()
        changed, self.version = version != self.version, version
        return bool(changed)


class NotifyWatch(Watch):
    """PostgreSQL: the server wakes us, through the connection that also does the work."""

    shortest, longest = 0.5, 1.0
    gives_signs = True

    def __init__(self, connection: BaseDatabaseWrapper, topic: str) -> None:
        super().__init__(connection, topic)
        self.heard = True  # what came before we listened was not announced to us
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {topic}")
        self.raw.add_notify_handler(self._hear)
        self.fd = self.raw.pgconn.socket

    def changed(self) -> bool:
        pgconn = self.raw.pgconn
        with self.connection.wrap_database_errors:
            pgconn.consume_input()
            while notice := pgconn.notifies():
                pgconn.notify_handler(notice)  # to everybody who listens on this connection, not to us alone
        heard, self.heard = self.heard, False
        return heard

    def close(self) -> None:
        self.raw.remove_notify_handler(self._hear)
        if not self.raw.closed:
            with self.connection.cursor() as cursor:
                cursor.execute(f"UNLISTEN {self.topic}")

    def _hear(self, notice: Any) -> None:
        self.heard = self.heard or notice.channel == self.topic


def watch(connection: BaseDatabaseWrapper, topic: str) -> Watch:
    """The best watch this database has. It lives as long as the connection does."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        return DataVersionWatch(connection, topic)
    # LISTEN takes effect at COMMIT, so it is of no use inside somebody's transaction.
    if can_notify(connection) and not connection.in_atomic_block:
        return NotifyWatch(connection, topic)
    return Watch(connection, topic)


def announce(connection: BaseDatabaseWrapper, topic: str) -> None:
    """Wake whoever watches `topic`, once the transaction under way has committed."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {topic}")


def can_notify(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql" and hasattr(connection.connection, "pgconn")
