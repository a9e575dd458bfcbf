from __future__ import annotations

from typing import Any

import pytest

from django_tasks.canvas import signature


@pytest.fixture(autouse=True)
def _own_tasks(own_tasks: None) -> None:
    """Every test here may register tasks."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was handed on to be sent: signature, arguments, keywords, options."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(signature, "send", lambda *call: calls.append(call) or "handle")
    return calls
