"""Sending while the database is away: tried again, as long as nothing can be there twice for it.

Only where the transaction is our own. Inside the caller's nothing can be repeated: what it did before is lost together
with its connection, and only the caller can do that again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from time import sleep
from typing import Any, NamedTuple

from django.db import Error, InterfaceError, connections, transaction
from django.db import OperationalError as DatabaseAway
from django.db.backends.base.base import BaseDatabaseWrapper

from django_tasks.exceptions import DuplicateTaskId, OperationalError
from django_tasks.message.retry_policy import RetryPolicy


class Lost(NamedTuple):
    """A connection that was lost, or could not be made."""

    error: Error
    #: What was being written may be there.
    leaves_doubt: bool


def write_at_once(
    write: Callable[[], None], *, alias: str, policy: RetryPolicy, savepoint: bool = True, alone: bool = False
) -> None:
    """Call `write` in a transaction; again, as `policy` says, if the connection is gone before it commits.

    `alone`: it is what `together` makes one statement of, and makes rows with ids that nobody else has. On PostgreSQL
    there is no transaction around it then. If the connection is lost, the next try hears that the ids are taken if this
    one got through.

    Raises `OperationalError` of ours if it stays away. Errors that are not about the connection are raised as they are,
    and so are those that leave in doubt whether the tasks were sent, like one of the commit itself.
    """
    connection = connections[alias]
    if is_the_callers(connection):
        with transaction.atomic(using=alias, savepoint=savepoint):
            write()
        return
    alone = alone and connection.vendor == "postgresql"
    waits, doubt = policy.waits(), None
    while (lost := _try(write, connection, alone=alone, again=doubt is not None)) is not None:
        doubt = doubt or (lost.error if lost.leaves_doubt else None)
        wait = next(waits, None)
        if wait is None:
            raise doubt or _nothing_was_sent(alias, lost.error) from lost.error
        sleep(wait)


def _nothing_was_sent(alias: str, error: Error) -> OperationalError:
    return OperationalError(
        f"The database {alias!r} cannot be reached, so nothing was sent: {error} "
        "Send it again later, or let `retry_policy` be more patient."
    )


def is_the_callers(connection: BaseDatabaseWrapper) -> bool:
    """Is a transaction open already? Asks without connecting."""
    return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)


def _try(
    write: Callable[[], None], connection: BaseDatabaseWrapper, *, alone: bool, again: bool
) -> Lost | None:
    """`None` once it is committed, or why there is no connection, if it may be tried again. Raises other errors."""
    used, written = None, False
    try:
        connection.ensure_connection()
        used = connection.connection
        with nullcontext() if alone else transaction.atomic(using=connection.alias):
            write()
            written = True
    except DuplicateTaskId:
        if not again:
            raise
    except (DatabaseAway, InterfaceError) as error:
        if written or not _is_lost(connection, used):
            raise
        connection.close()
        return Lost(error, leaves_doubt=alone and used is not None)
    return None


def _is_lost(connection: BaseDatabaseWrapper, used: Any) -> bool:
    """Was the connection that was `used` at fault? Django replaces one that it cannot roll back."""
    return connection.connection is None or connection.connection is not used or not connection.is_usable()
