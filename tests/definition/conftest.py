from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from django_tasks.definition import order
from django_tasks.message.message import TaskMessage


@pytest.fixture(autouse=True)
def _own_tasks(own_tasks: None) -> None:
    """Every test here may register tasks."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[TaskMessage]:
    """The messages handed to dispatch, in order."""
    messages: list[TaskMessage] = []
    monkeypatch.setattr(order, "send", messages.extend)
    return messages


@pytest.fixture
def sent_on_commit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[TaskMessage], dict[str, Any]]]:
    """The calls of dispatch for sending on commit: messages and keywords."""
    calls: list[tuple[list[TaskMessage], dict[str, Any]]] = []

    def send_on_commit(messages: Sequence[TaskMessage], **how: Any) -> None:
        calls.append((list(messages), how))

    monkeypatch.setattr(order, "send_on_commit", send_on_commit)
    return calls


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes modules to a folder on the path: `project({"shop/tasks.py": "..."}, apps=["shop"])`.

    Every folder becomes a package; `apps` are installed until the end of the test.
    """
    monkeypatch.syspath_prepend(tmp_path)
    loaded = set(sys.modules)

    with ExitStack() as stack:

        def write(files: dict[str, str], *, apps: Sequence[str] = ()) -> Path:
            for path, text in files.items():
                file = tmp_path / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            for folder in {parent for file in tmp_path.rglob("*.py") for parent in file.parents}:
                if folder != tmp_path and folder.is_relative_to(tmp_path):
                    (folder / "__init__.py").touch()
            stack.enter_context(override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, *apps]))
            return tmp_path

        yield write

    for name in set(sys.modules) - loaded:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
