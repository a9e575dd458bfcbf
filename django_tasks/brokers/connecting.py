"""Connections to a broker of its own, with an end to every wait: nobody is to hang because it does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import kombu

from django_tasks.exceptions import OperationalError

#: Seconds until a connection must stand, and until whatever was asked must be answered.
CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0
#: Seconds between signs of life (AMQP) on connections that somebody looks after; after two without, it is given up.
HEARTBEAT = 5

#: The connection broke while a batch was on its way to Redis; kombu has had a word for it since 5.7.
_LOST_BATCH = getattr(kombu.exceptions, "BatchPublishError", kombu.exceptions.OperationalError)

#: What kombu's transports call these waits. What the project says in BROKER_TRANSPORT_OPTIONS goes before.
_WAITS: Mapping[str, Mapping[str, Any]] = {
    "amqp": {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": ANSWER_TIMEOUT,
        "write_timeout": ANSWER_TIMEOUT,
    },
    "redis": {
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT,
        "socket_keepalive": True,
    },
}


def connection(url: str, options: Mapping[str, Any], *, heartbeat: int = 0) -> kombu.Connection:
    """`heartbeat`: of one whose owner calls `heartbeat_check` about once a second."""
    made = kombu.Connection(url, heartbeat=heartbeat)
    driver = made.transport.driver_type
    made.transport_options = {**_WAITS.get(driver, {}), **options}
    # We wait for the confirms of many messages at once; kombu would wait for each.
    made.transport_options.pop("confirm_publish", None)
    return made


def connect(connection: kombu.Connection) -> None:
    """Raises one of `errors`, after one try at each host of the URL."""
    retries = len(connection.alt or ()) or 1
    connection.ensure_connection(
        max_retries=retries - 1,
        interval_start=0,
        interval_step=0,
        interval_max=0,
        reraise_as_library_errors=False,
    )


def leave(connection: Any) -> None:
    """In a forked child: close one of the parent's here, without a word to the broker.

    What amqp does to a socket that it closes, or that is thrown away, would end it for the parent, too. redis looks
    itself whose process it is in.
    """
    transport: Any = getattr(getattr(connection, "_connection", None), "transport", None)
    if getattr(transport, "sock", None) is not None:
        transport.sock.close()
        transport.sock = None


def errors(connection: kombu.Connection) -> tuple[type[BaseException], ...]:
    """What is raised when the broker, or the way to it, is at fault."""
    # Channel errors too: after one the channel is closed, whoever asked for the impossible.
    return (
        *connection.connection_errors,
        *connection.channel_errors,
        kombu.exceptions.OperationalError,
        _LOST_BATCH,
        OSError,
    )


def is_silence(error: BaseException | None) -> bool:
    """Did it just not answer? Then it takes as long to ask it again."""
    while error is not None:
        # redis has one of its own, which is no subclass; and kombu wraps it when a batch was on its way.
        if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
            return True
        error = error.__cause__
    return False


@contextlib.contextmanager
def ours(connection: kombu.Connection, what: str, then: str = "The worker tries again.") -> Iterator[None]:
    """Errors of the broker as `OperationalError`: `what` is the matter, and what to do `then`.

    The connection is not used again.
    """
    try:
        yield
    except errors(connection) as error:
        with contextlib.suppress(Exception):  # it is broken: whatever it says is no news
            connection.collect(socket_timeout=0.1)
        raise OperationalError(
            f"The broker {where(connection)} {what} ({type(error).__name__}: {str(error).rstrip('.')}). {then}"
        ) from error


def where(connection: kombu.Connection) -> str:
    """The URL without its password, for messages."""
    return str(connection.as_uri(include_password=False))
