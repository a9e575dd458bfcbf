"""Kills the worker at a moment that nobody else could hit: after an end is written, before it is to be told of."""

import os
import signal
from collections.abc import Collection
from pathlib import Path

from django_tasks.execution.report import report_failures
from django_tasks.worker import verdicts


def die_once(ids: Collection[str]) -> None:
    killed = Path(os.environ["KILLED"])
    if ids and not killed.exists():
        killed.touch()
        os.killpg(0, signal.SIGKILL)
    report_failures(ids)


verdicts.report_failures = die_once
