"""The page about signals lists what there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from django_tasks import signals
from django_tasks.signals import TaskSignal

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "signals.md"


def test_every_signal_is_listed_and_no_other() -> None:
    there = {name for name, value in vars(signals).items() if isinstance(value, TaskSignal)}

    assert set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), re.MULTILINE)) == there
