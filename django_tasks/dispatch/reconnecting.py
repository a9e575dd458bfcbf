"""Sending while the database is away: tried again, as long as surely nothing of it was written.

Only where the transaction is our own. Inside the caller's nothing can be repeated: what it did before is lost together
with its connection, and only the caller can do that again.
"""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any

from django.db import Error, InterfaceError, connections, transaction
from django.db import OperationalError as DatabaseAway
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasks.exceptions import OperationalError
from django_tasks.message.retry_policy import RetryPolicy


def write_at_once(
    write: Callable[[], None], *, alias: str, policy: RetryPolicy, savepoint: bool = True
) -> None:
    """Call `write` in a transaction; again, as `policy` says, if the connection is gone before it commits.

    Raises `OperationalError` of ours if it stays away. Errors that are not about the connection are raised as they are,
    and so is one of the commit itself: then nobody can tell whether the tasks were sent.
    """
    connection = connections[alias]
    if is_the_callers(connection):
        with transaction.atomic(using=alias, savepoint=savepoint):
            write()
        return
    waits = policy.waits()
    while (away := _try(write, connection)) is not None:
        wait = next(waits, None)
        if wait is None:
            raise OperationalError(
                f"The database {alias!r} cannot be reached, so nothing was sent: {away} "
                "Send it again later, or let `retry_policy` be more patient."
            ) from away
        sleep(wait)


def is_the_callers(connection: BaseDatabaseWrapper) -> bool:
    """Is a transaction open already? Asks without connecting."""
    return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)


def _try(write: Callable[[], None], connection: BaseDatabaseWrapper) -> Error | None:
    """`None` once it is committed, or why there is no connection, if nothing can have been. Raises other errors."""
    used, written = None, False
    try:
        connection.ensure_connection()
        used = connection.connection
        with transaction.atomic(using=connection.alias):
            write()
            written = True
    except (DatabaseAway, InterfaceError) as error:
        if written or not _is_lost(connection, used):
            raise
        connection.close()
        return error
    return None


def _is_lost(connection: BaseDatabaseWrapper, used: Any) -> bool:
    """Was the connection that was `used` at fault? Django replaces one that it cannot roll back."""
    return connection.connection is None or connection.connection is not used or not connection.is_usable()
