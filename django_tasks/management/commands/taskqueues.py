"""`manage.py taskqueues`: how full the queues are, as a table or for programs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from django_tasks.dispatch.depths import Depth, depths
from django_tasks.exceptions import OperationalError
from django_tasks.management.table import paused, ready, table

HEADS = ("queue", "ready", "later", "running", "aside", "workers", "paused")


class Command(BaseCommand):
    help = (
        "Shows for each queue how many messages and tasks are in it, who serves it and whether it is paused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="As JSON, for monitoring.")

    def handle(self, *args: Any, **given: Any) -> None:
        try:
            found = depths()
        except OperationalError as error:
            raise CommandError(str(error)) from error
        if given["json"]:
            self.stdout.write(
                json.dumps(list(map(dataclasses.asdict, found)), indent=2, cls=DjangoJSONEncoder)
            )
            return
        self.stdout.write("\n".join(table(HEADS, list(map(_cells, found)))))


def _cells(depth: Depth) -> tuple[str, ...]:
    numbers = (depth.parked, depth.running, depth.aside, len(depth.workers))
    return (depth.queue, ready(depth), *map(str, numbers), paused(depth))
