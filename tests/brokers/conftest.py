"""kombu's own objects on the embedded broker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import kombu
import pytest

Opener = Callable[..., Any]


@pytest.fixture
def open_connection() -> Iterator[Opener]:
    """Opens kombu connections with the given transport options; they are closed in the end."""
    with contextlib.ExitStack() as opened:
        yield lambda **options: opened.enter_context(kombu.Connection("django://", transport_options=options))


@pytest.fixture
def broker_connection(open_connection: Opener) -> Any:
    return open_connection()
