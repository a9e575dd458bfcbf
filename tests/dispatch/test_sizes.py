"""How full the queues of a broker are, for pages that cannot wait."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from django_tasks.dispatch import sizes
from django_tasks.dispatch.sizes import Answer, Sizes
from django_tasks.exceptions import OperationalError
from tests.workers import PATIENCE, eventually


def use(monkeypatch: pytest.MonkeyPatch, size: object) -> None:
    monkeypatch.setattr(sizes, "broker", lambda: SimpleNamespace(size=size))


def test_an_answer_in_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, len)

    assert Sizes().ask(["default", "mail"], PATIENCE).sizes == {"default": 7, "mail": 4}


def test_of_a_broker_that_is_away_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Sizes()
    use(monkeypatch, len)
    asked.ask(["default"], PATIENCE)

    def away(queue: str) -> int:
        raise OperationalError("gone")

    use(monkeypatch, away)

    assert asked.ask(["default"], PATIENCE) == Answer(trouble="gone")


def test_nobody_waits_for_a_silent_broker_and_it_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, times = threading.Event(), []

    def silent(queue: str) -> int:
        times.append(queue)
        answers.wait(PATIENCE)
        return 3

    use(monkeypatch, silent)
    asked = Sizes()

    assert asked.ask(["default"], 0.0).sizes == {}
    assert asked.ask(["default"], 0.0).trouble == "it does not answer"
    answers.set()
    eventually(lambda: asked.ask(["default"], 0.0).sizes == {"default": 3}, "its answer, for a later page")
    assert times[:1] == ["default"]
