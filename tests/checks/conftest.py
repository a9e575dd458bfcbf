from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from django_tasks.brokers.handler import broker

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture(autouse=True)
def _own_broker() -> Iterator[None]:
    """The settings change from test to test, and the broker is made once."""
    broker.cache_clear()
    yield
    broker.cache_clear()


@pytest.fixture
def database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a database to the settings; nothing connects to it."""

    def add(alias: str, **values: Any) -> None:
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/site/db.sqlite3", "OPTIONS": {}}
        monkeypatch.setitem(settings.DATABASES, alias, {**sqlite, **values})

    return add
