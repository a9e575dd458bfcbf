"""The sending side of a system, in its own virtual environment: it obeys orders from its input, and answers.

An order is a line with a JSON object: `do` names one of the functions below, the rest are its arguments.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from . import bodies

SLICE = 1_000  # calls that are handed to a bulk API at a time


def main(module: str) -> None:
    # What the system prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    sender = Sender(module)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"value": getattr(sender, order.pop("do"))(**order)}
        except Exception as error:  # noqa: BLE001 - it is reported
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


class Sender:
    def __init__(self, module: str) -> None:
        self.name = module
        self.module: Any = None

    def prepare(self, packages: list[str]) -> dict[str, str]:
        """Make its tables; returns the versions of these packages."""
        from importlib.metadata import version

        if os.environ.get("DJANGO_SETTINGS_MODULE"):
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0, run_syncdb=True)
        self.module = importlib.import_module(self.name)
        if prepare := getattr(self.module, "prepare", None):
            prepare()
        return {package: version(package) for package in packages}

    def send(self, start: int, stop: int, how: str, ballast: int = 0) -> tuple[float, float]:
        """Send `add` for these numbers "one" by one, "together" in a transaction, or in "bulk".

        Returns the seconds it took, and those of this process's processor time.
        """
        extra = ("x" * ballast,) if ballast else ()
        began, used = time.perf_counter(), time.process_time()
        if how == "bulk":
            for first in range(start, stop, SLICE):
                numbers = range(first, min(stop, first + SLICE))
                self.module.bulk(self.module.add, [(number, 1, *extra) for number in numbers])
        else:
            send, add = self.module.send, self.module.add
            with _transaction() if how == "together" else nullcontext():
                for number in range(start, stop):
                    send(add, number, 1, *extra)
        return time.perf_counter() - began, time.process_time() - used

    def arrive(self, start: int, stop: int, seconds: float, path: str) -> list[float]:
        """Send one at a time to an idle worker, each after the one before was reached; when each was sent."""
        chance, sent = random.Random(start), []
        ends = time.monotonic() + seconds
        for number in range(start, stop):
            if time.monotonic() > ends:
                break
            time.sleep(chance.uniform(0.01, 0.03))
            sent.append(time.monotonic())
            self.module.send(self.module.add, number, 1)
            while not bodies.times(Path(path), number, number + 1)[0] and time.monotonic() < ends:
                time.sleep(0.001)
        return sent

    def load(self, start: int, moments: list[float]) -> list[float]:
        """Send `nap` at each of these moments (seconds from now); when each was sent."""
        began, sent = time.monotonic() + 0.01, []
        for number, moment in enumerate(moments, start):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            sent.append(time.monotonic())
            self.module.send(self.module.nap, number)
        return sent

    def settled(self) -> bool:
        settled: Callable[[], bool] = getattr(self.module, "settled", lambda: True)
        return settled()

    def rest(self) -> None:
        """Close connections to the database."""
        if os.environ.get("DJANGO_SETTINGS_MODULE"):
            from django.db import connections

            connections.close_all()

    def can(self) -> list[str]:
        """The ways it can send."""
        ways = {"one": "send", "together": "TOGETHER", "bulk": "bulk"}
        return [way for way, needed in ways.items() if hasattr(self.module, needed)]

    def call(self, name: str, **arguments: Any) -> Any:
        """Something that only this module has."""
        return getattr(self.module, name)(**arguments)


def _transaction() -> Any:
    from django.db import transaction

    return transaction.atomic()


if __name__ == "__main__":
    main(sys.argv[1])
