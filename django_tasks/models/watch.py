"""Hearing that the database has something new, without asking it all the time.

PostgreSQL tells (LISTEN/NOTIFY, with psycopg 3), SQLite shows a number that changes with every commit of another
connection (`PRAGMA data_version`), and others are asked, more seldom the longer nothing comes. Hearing is only for
speed: whoever watches also looks by itself now and then, so a notice lost costs time, never a task.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from django_tasks import clock
from django_tasks.service import readable

from .together import held
from .written import Written

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: Messages were put into a queue.
ARRIVALS = "django_tasks_arrivals"
#: Messages were parked until they are due.
PARKED = "django_tasks_parked"
#: Tasks ended.
ENDINGS = "django_tasks_endings"
#: Somebody wants something of the workers.
COMMANDS = "django_tasks_commands"
#: Workers answered.
ANSWERS = "django_tasks_answers"


#: An attribute of connections to SQLite, whose own commits are no sign to itself: how often they announced something.
_ANNOUNCED = "django_tasks_announced"


class Watch:
    """Asks: every look may find something. For databases that give no sign."""

    #: Seconds between looks at first, and the most they grow to while nothing comes.
    shortest, longest = 0.02, 0.5
    #: Seconds after which to ask whatever was heard: that long silence is believed.
    patience = 1.0
    # Does the database give a sign, so that `changed` means something? And only of the topics?
    gives_signs, is_precise = False, False
    #: A descriptor that becomes readable when there is something, if the database has one.
    fd: int | None = None

    def __init__(self, connection: BaseDatabaseWrapper, *topics: str) -> None:
        self.connection = connection
        self.raw: Any = connection.connection
        self.topics = topics
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
    """SQLite: a look costs microseconds and takes no lock, so at first it is repeated every few milliseconds.

    When nothing comes, the kernel is asked to tell when somebody writes. That is a little before others see what was
    written, so after each sign there are looks again, ever more seldom.
    """

    shortest, longest = 0.005, 1.0
    #: The longest pause, in seconds, in which the kernel is not listened to, or does not tell.
    attentive = 0.01
    #: The first pause, in seconds, after something was written that cannot be seen yet.
    alert = 0.001
    patience = 10.0
    gives_signs = True

    def __init__(self, connection: BaseDatabaseWrapper, *topics: str) -> None:
        super().__init__(connection, *topics)
        self.version = -1
        self.announced = 0
        self.written: Written | None = None
        self.has_asked_kernel = False

    def changed(self) -> bool:
        self.connection.ensure_connection()
        is_written = self.written is not None and self.written.forget()
        (version,) = self.connection.connection.execute("PRAGMA data_version").fetchone()
        announced = getattr(self.connection, _ANNOUNCED, 0)
        changed = (version, announced) != (self.version, self.announced)
        self.version, self.announced = version, announced
        if is_written:
            self.pause = self.shortest if changed else self.alert
        return changed

    @property
    def fd(self) -> int | None:  # type: ignore[override]
        """Not just after a sign: while others write all the time, they are heard every few milliseconds."""
        return None if self.written is None or self.pause <= self.attentive else self.written.fd

    def found(self, something: bool) -> None:
        super().found(something)
        if self.pause > self.attentive and not self.has_asked_kernel:
            self.written, self.has_asked_kernel = _written(self.connection), True
            self.pause = self.shortest  # what was written until now has not been told
        if self.written is None:
            self.pause = min(self.pause, self.attentive)


class NotifyWatch(Watch):
    """PostgreSQL: the server wakes us, through the connection that also does the work."""

    shortest, longest = 0.5, 1.0
    patience = 10.0
    gives_signs, is_precise = True, True

    def __init__(self, connection: BaseDatabaseWrapper, *topics: str) -> None:
        super().__init__(connection, *topics)
        self.heard = True  # what came before we listened was not announced to us
        with connection.cursor() as cursor:
            cursor.execute("; ".join(f"LISTEN {topic}" for topic in topics))
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
                cursor.execute("; ".join(f"UNLISTEN {topic}" for topic in self.topics))

    def _hear(self, notice: Any) -> None:
        self.heard = self.heard or notice.channel in self.topics


def _written(connection: BaseDatabaseWrapper) -> Written | None:
    """Of the files of a SQLite database: itself, and the log that is written to instead (WAL)."""
    connection.ensure_connection()
    files = [file for _, _, file in connection.connection.execute("PRAGMA database_list") if file]
    try:
        return Written([path for file in files for path in (file, f"{file}-wal") if os.path.exists(path)])
    except OSError:
        return None


def watch(connection: BaseDatabaseWrapper, *topics: str) -> Watch:
    """The best watch this database has. It lives as long as the connection does."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        return DataVersionWatch(connection, *topics)
    # LISTEN takes effect at COMMIT, so it is of no use inside somebody's transaction.
    if can_notify(connection) and not connection.in_atomic_block:
        return NotifyWatch(connection, *topics)
    return Watch(connection, *topics)


def announce(connection: BaseDatabaseWrapper, topic: str) -> None:
    """Wake whoever watches `topic`, once the transaction under way has committed."""
    if waiting := held(connection):
        waiting.announce(topic)
    elif connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {topic}")
    elif connection.vendor == "sqlite":
        setattr(connection, _ANNOUNCED, getattr(connection, _ANNOUNCED, 0) + 1)


def can_notify(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql" and hasattr(connection.connection, "pgconn")
