"""kombu's own objects on the embedded broker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import kombu
import pytest

from django_tasks.brokers.broker import Receiver
from django_tasks.brokers.handler import broker

from .arrivals import Open

Opener = Callable[..., Any]


@pytest.fixture
def open_connection() -> Iterator[Opener]:
    """Opens kombu connections with the given transport options; they are closed in the end."""
    with contextlib.ExitStack() as opened:
        yield lambda **options: opened.enter_context(kombu.Connection("django://", transport_options=options))


@pytest.fixture
def broker_connection(open_connection: Opener) -> Any:
    return open_connection()


@pytest.fixture
def open_receiver() -> Iterator[Open]:
    with contextlib.ExitStack() as opened:

        def open_one(owner: str = "me", queues: Sequence[str] = ("default",)) -> Receiver:
            receiver = broker().receiver(queues, owner)
            opened.callback(receiver.close)
            return receiver

        yield open_one
