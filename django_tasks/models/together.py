"""Several statements as one, where the database takes that: who sends a task waits for each of them.

One statement is a transaction by itself, so that its sender waits once, and not for BEGIN and COMMIT as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from django.db import transaction

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: An attribute of connections on which statements are held back.
_HELD = "django_tasks_held"


class Held:
    """Insertions and notices that are not executed yet."""

    def __init__(self, connection: BaseDatabaseWrapper, around: ExitStack) -> None:
        self.connection = connection
        #: Takes the transaction that is begun if there are several statements after all.
        self.around = around
        #: By table: of several into one, PostgreSQL does not say which comes first.
        self.inserts: dict[str, tuple[str, Sequence[Any]]] = {}
        self.topics: list[str] = []

    def insert(self, table: str, statement: str, parameters: Sequence[Any]) -> None:
        if table in self.inserts:
            if not self.connection.in_atomic_block:
                self.around.enter_context(transaction.atomic(using=self.connection.alias))
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


@contextmanager
def together(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """What the block inserts and announces is written together: by one statement at its end on PostgreSQL, or at once.

    The block must ask for nothing that it has inserted, and begin no transaction: see `joined`.
    """
    if connection.vendor != "postgresql" or held(connection) is not None:
        with joined(connection):
            yield
        return
    with ExitStack() as around:
        waiting = Held(connection, around)
        setattr(connection, _HELD, waiting)
        try:
            yield
        finally:
            delattr(connection, _HELD)
        waiting.execute()


def joined(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """A transaction; or nothing, if a block above is going to write all that comes together."""
    return (
        transaction.atomic(using=connection.alias, savepoint=False)
        if held(connection) is None
        else nullcontext()
    )


def held(connection: BaseDatabaseWrapper) -> Held | None:
    """What takes the statements of the block under way, if there is one."""
    found: Held | None = getattr(connection, _HELD, None)
    return found
