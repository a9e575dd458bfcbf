"""`manage.py runworker`: run tasks until told to stop."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_tasks import conf, registry, signals
from django_tasks.brokers import queues
from django_tasks.brokers.broker import broker
from django_tasks.exceptions import UnknownQueue
from django_tasks.worker import log, solo
from django_tasks.worker.banner import banner
from django_tasks.worker.options import MOST_COROUTINES, WorkerOptions
from django_tasks.worker.reload import run_with_reloader
from django_tasks.worker.supervisor import Supervisor

LEVELS = ("debug", "info", "warning", "error", "critical")


class Command(BaseCommand):
    help = "Runs background tasks. SIGTERM or Ctrl-C ends it when running tasks have ended; a second one ends it now."
    requires_system_checks = "__all__"
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queues", "-Q", help="Queues to serve, separated by commas. Default: all declared ones."
        )
        parser.add_argument(
            "--processes",
            type=_count(0),
            default=2,
            help="Task processes; 0 runs everything in one process, for debuggers. Default: 2.",
        )
        parser.add_argument(
            "--threads", type=_count(1), default=1, help="Tasks that each process runs at a time. Default: 1."
        )
        parser.add_argument(
            "--concurrency",
            type=_count(1, MOST_COROUTINES),
            default=100,
            help="`async def` tasks that each process runs at a time, beside the others. Default: 100.",
        )
        parser.add_argument(
            "--name", default="worker", help="The worker's name, shown as NAME@HOST. Default: worker."
        )
        parser.add_argument("--burst", action="store_true", help="Exit when the queues are empty.")
        parser.add_argument(
            "--grace",
            type=_seconds,
            default=30.0,
            help="Seconds that running tasks may go on after the first signal to stop. Default: 30.",
        )
        parser.add_argument("--loglevel", "-l", choices=LEVELS, default="warning", help="Default: warning.")
        parser.add_argument(
            "--logfile",
            "-f",
            help="Append the log to this file. Default: standard error, or as LOGGING says.",
        )
        parser.add_argument(
            "--reload", action="store_true", help="Start again when code changes, for development."
        )

    def handle(self, *args: Any, **given: Any) -> None:
        if given["reload"]:
            run_with_reloader()
            return
        _log_to(given["logfile"], given["loglevel"])
        options = WorkerOptions(
            queues=_queues(given["queues"]),
            processes=given["processes"],
            threads=given["threads"],
            concurrency=given["concurrency"],
            name=given["name"],
            burst=given["burst"],
            grace=given["grace"],
            progress=given["burst"] and sys.stdout.isatty(),
        )
        _check_migrated()
        registry.autodiscover()
        self.stdout.write(banner(options))
        signals.worker_init.tell(options.full_name)
        code = Supervisor(options).run() if options.processes else solo.run(options)
        if code:
            sys.exit(code)


def _queues(names: str | None) -> tuple[str, ...]:
    if not names:
        return queues.declared()
    try:
        return tuple(dict.fromkeys(queues.check(name.strip()) for name in names.split(",") if name.strip()))
    except UnknownQueue as error:
        raise CommandError(str(error)) from error


def _check_migrated() -> None:
    missing = broker().missing_tables()
    if missing:
        raise CommandError(
            f"The database {conf.current().DATABASE!r} has no table {missing[0]}. "
            f"Run: manage.py migrate --database {conf.current().DATABASE}"
        )


def _log_to(file: str | None, level: str) -> None:
    try:
        log.configure(level, file)
    except OSError as error:
        raise CommandError(f"--logfile: {file} cannot be written to: {error.strerror}.") from error


def _count(least: int, most: int | None = None) -> Any:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        if most is not None and int(text) > most:
            raise argparse.ArgumentTypeError(f"{text} is more than {most}: start more processes instead")
        return int(text)

    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
