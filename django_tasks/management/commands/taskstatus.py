"""`manage.py taskstatus`: how all of it is, as a table or for programs; and for probes whether somebody should look."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from django_tasks.dispatch.depths import Depth
from django_tasks.management.table import paused, ready, table
from django_tasks.overview.course import Course, course
from django_tasks.overview.document import document
from django_tasks.overview.notices import DEFAULT_LIMITS, Level, Limits
from django_tasks.overview.state import Manned, State, state_now

QUEUES = ("queue", "waiting", "oldest", "running", "slots", "workers", "paused")
WORKERS = ("worker", "state", "running", "slots", "queues")
SIGNS = {Level.WARNING: "warning: ", Level.CRITICAL: "CRITICAL: "}


class Command(BaseCommand):
    help = (
        "Shows what waits, what runs, which workers there are, and what is wrong. "
        "Exit status 0 if nothing is, 1 if something should be looked at, 2 if tasks are not being run."
    )
    # It is run every few seconds, and what is wrong with the project is said elsewhere.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="As JSON, for programs.")
        parser.add_argument(
            "--max-waiting",
            type=_seconds,
            default=DEFAULT_LIMITS.waiting,
            metavar="SECONDS",
            help="Warn if a message has waited this long in a queue that is not paused. Default: 300.",
        )
        parser.add_argument(
            "--max-paused",
            type=_seconds,
            default=DEFAULT_LIMITS.paused,
            metavar="SECONDS",
            help="Warn if a queue has been paused this long. Default: 10800.",
        )
        parser.add_argument(
            "--lost-within",
            type=_seconds,
            default=DEFAULT_LIMITS.lost,
            metavar="SECONDS",
            help="Warn of workers that were lost less long ago. Default: 3600.",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        limits = Limits(waiting=given["max_waiting"], paused=given["max_paused"], lost=given["lost_within"])
        try:
            state, ended = state_now(limits), course()
        except Error as error:
            self._say_unreachable(error, as_json=given["json"])
            sys.exit(Level.CRITICAL)
        lines = [json.dumps(document(state, ended), indent=2)] if given["json"] else _lines(state, ended)
        self.stdout.write("\n".join(lines))
        if state.level:
            sys.exit(state.level)

    def _say_unreachable(self, error: Error, *, as_json: bool) -> None:
        text = f"The database cannot be asked: {error}"
        notice = {"level": "critical", "code": "database_unreachable", "text": text}
        told = json.dumps({"level": "critical", "notices": [notice]}, indent=2)
        self.stdout.write(told if as_json else f"{SIGNS[Level.CRITICAL]}{text}")


def _lines(state: State, ended: Course) -> list[str]:
    counts, day = state.counts, ended.last_day
    return [
        *(f"{SIGNS[notice.level]}{notice.text}" for notice in state.notices),
        *([""] if state.notices else []),
        f"Tasks: {counts.queued} queued, {counts.running:,} running, {counts.scheduled} scheduled, "
        f"{counts.retrying} retrying.",
        f"Last 24 h: {day.succeeded:,} succeeded, {day.failed:,} failed.",
        "",
        *table(QUEUES, [_queue(queue, state.now) for queue in state.queues]),
        "",
        *table(WORKERS, [_worker(worker) for worker in state.workers]),
    ]


def _queue(queue: Depth, now: dt.datetime) -> tuple[str, ...]:
    numbers = (str(queue.running), str(queue.slots), str(len(queue.workers)))
    return (queue.queue, ready(queue), _span(queue.age(now)), *numbers, paused(queue))


def _worker(worker: Manned) -> tuple[str, ...]:
    row = worker.row
    return (row.name, str(worker.state.label), str(worker.busy), str(row.slots), row.queues)


def _span(span: dt.timedelta | None) -> str:
    return "" if span is None else str(dt.timedelta(seconds=int(span.total_seconds())))


def _seconds(text: str) -> dt.timedelta:
    try:
        span = dt.timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        span = dt.timedelta(-1)
    if span < dt.timedelta():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return span
