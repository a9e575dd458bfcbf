"""What the README says is not there yet is not there; what has come is not said to be missing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import django_tasks
from django_tasks.brokers import handler as brokers
from django_tasks.definition.options import TASK_OPTIONS_TO_COME

README = Path(__file__).parents[2] / "README.md"
MISSING: dict[str, Callable[[], bool]] = {
    "time limits": lambda: "time_limit" in TASK_OPTIONS_TO_COME,
    "rate limits": lambda: "rate_limit" in TASK_OPTIONS_TO_COME,
    "`async def` tasks": lambda: find_spec("django_tasks.worker.runners.event_loop") is None,
    "chains, groups or chords": lambda: not hasattr(django_tasks, "chain"),
    "schedules": lambda: find_spec("django_tasks.beat") is None,
    "RabbitMQ": lambda: bool(brokers.problems("amqp://localhost//")),
    "Redis": lambda: bool(brokers.problems("redis://localhost")),
    "`django.tasks`": lambda: find_spec("django_tasks.backends") is None,
}


@pytest.mark.parametrize("what", MISSING)
def test_the_readme_says_what_is_missing_as_long_as_it_is(what):
    _, _, rest = README.read_text().partition("## What it does not have yet")
    said, _, _ = rest.partition("\n\nWhat it will not become")

    assert (what in said) == MISSING[what]()
