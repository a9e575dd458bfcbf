"""`manage.py workerhealth`: are the workers of this host well? For probes that run a command, and for people."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from django_tasks.worker.checkup import Checkup, check_up
from django_tasks.worker.health import Health


class Command(BaseCommand):
    help = "Says whether the workers of this host are alive and take on tasks. Exit status 1 if not."
    # It is run every few seconds, and what is wrong with the project is said elsewhere.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", help="Only the worker of this name, as given to runworker. Default: all of this host."
        )
        parser.add_argument(
            "--live", action="store_true", help="Be content if they are alive, even if they receive nothing."
        )
        parser.add_argument("--json", action="store_true", help="As JSON, for programs.")

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            found = check_up(socket.gethostname(), given["name"], is_life_enough=given["live"])
        except Error as error:
            found = Checkup(workers=(), health=Health(reasons=(f"The database cannot be asked: {error}",)))
        self.stdout.write(_as_json(found) if given["json"] else _as_line(found))
        if not found.health.is_well:
            sys.exit(1)


def _as_line(found: Checkup) -> str:
    return " ".join(found.health.reasons) or f"Well: {', '.join(worker.name for worker in found.workers)}."


def _as_json(found: Checkup) -> str:
    workers = [
        {"name": worker.name, "pid": worker.pid, "trouble": worker.trouble} for worker in found.workers
    ]
    return json.dumps(
        {"ok": found.health.is_well, "reasons": found.health.reasons, "workers": workers}, indent=2
    )
