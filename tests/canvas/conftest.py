from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from django_tasks import registry
from django_tasks.canvas import signature


@pytest.fixture(autouse=True)
def own_tasks() -> Iterator[None]:
    """What a test registers is gone after it; what a test happens to discover is there before, so that it stays."""
    registry.autodiscover()
    state = vars(registry.tasks)
    before = {name: copy.copy(value) for name, value in state.items() if isinstance(value, dict | bool)}
    yield
    state.update(before)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed on to be sent: signature, arguments, keywords, options."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(signature, "send", lambda *call: calls.append(call) or "handle")
    return calls
