"""Several statements as one, where the database takes that: who sends a task waits for each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: An attribute of connections on which statements are held back.
_HELD = "django_tasks_held"


class Held:
    """Insertions and notices that are not executed yet."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        #: By table: of several into one, PostgreSQL does not say which comes first.
        self.inserts: dict[str, tuple[str, Sequence[Any]]] = {}
        self.topics: list[str] = []

    def insert(self, table: str, statement: str, parameters: Sequence[Any]) -> None:
        if table in self.inserts:
            self.execute()
        self.inserts[table] = (statement, parameters)

    def announce(self, topic: str) -> None:
        if topic not in self.topics:
            self.topics.append(topic)

    def execute(self) -> None:
        # Taken out first: a signal handler may send while the same thread is in here.
        inserts, self.inserts = self.inserts, {}
        topics, self.topics = self.topics, []
        if not (inserts or topics):
            return
        inserted = ", ".join(f"into_{table} AS ({sql})" for table, (sql, _) in inserts.items())
        notices = ", ".join("pg_notify(%s, '')" for _ in topics)
        parameters = [value for _, values in inserts.values() for value in values]
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"{f'WITH {inserted} ' if inserted else ''}SELECT {notices or '1'}",
                [*parameters, *topics],
            )


@contextlib.contextmanager
def together(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """What the block inserts and announces goes to PostgreSQL as one statement, at its end; elsewhere it goes at once.

    The block must be inside a transaction, and ask for nothing that it has inserted.
    """
    if connection.vendor != "postgresql" or held(connection) is not None:
        yield
        return
    waiting = Held(connection)
    setattr(connection, _HELD, waiting)
    try:
        yield
    finally:
        delattr(connection, _HELD)
    waiting.execute()


def held(connection: BaseDatabaseWrapper) -> Held | None:
    """What takes the statements of the block under way, if there is one."""
    found: Held | None = getattr(connection, _HELD, None)
    return found
