"""Connections to the broker that a caller takes for itself: `app.pool`, and sending over one of them.

    with add.app.pool.acquire(block=True) as connection, add.get_publisher(connection) as publisher:
        for pair in pairs:
            add.apply_async(pair, publisher=publisher)

Nothing else needs them: what is sent to a broker of its own goes over a connection of this pool anyway.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import kombu

from .broker import through
from .handler import broker


def pool() -> Any:
    """kombu's pool of at most `BROKER_POOL_LIMIT` connections; a forked child has its own."""
    return broker().pool()


@contextlib.contextmanager
def publisher(connection: kombu.Connection | None = None) -> Iterator[kombu.Producer]:
    """A producer over this connection, or over one of the pool, until the end of the block."""
    taken = pool().acquire(block=True) if connection is None else contextlib.nullcontext(connection)
    with taken as found, kombu.Producer(found) as producer:
        yield producer


def sending_over(
    producer: kombu.Producer | None, connection: kombu.Connection | None
) -> contextlib.AbstractContextManager[Any]:
    """Within the block, what is sent goes over these, if they are given.

    Raises `TypeError` for what is neither, or leads to another broker.
    """
    if producer is None and connection is None:
        return contextlib.nullcontext()
    if producer is None:
        if not isinstance(connection, kombu.Connection):
            raise TypeError(f"connection must be one of app.pool, not {connection!r}.")
        _check_way(connection)
        return _over(connection)
    if not isinstance(producer, kombu.Producer):
        raise TypeError(f"publisher must be what get_publisher() gives, not {producer!r}.")
    _check_way(producer.connection)
    return through(producer)


@contextlib.contextmanager
def _over(connection: kombu.Connection) -> Iterator[None]:
    with publisher(connection) as producer, through(producer):
        yield


def _check_way(connection: kombu.Connection) -> None:
    if connection.transport_cls != broker().connect().transport_cls:
        raise TypeError(
            "The publisher leads to another broker than BROKER_URL. Take one of get_publisher(), or of app.pool."
        )
