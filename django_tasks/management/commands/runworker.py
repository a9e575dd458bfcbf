"""`manage.py runworker`: run tasks until told to stop."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_tasks import conf, registry, signals
from django_tasks.brokers import queues
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import UnknownQueue
from django_tasks.worker import log, memory, probes, solo
from django_tasks.worker.banner import banner
from django_tasks.worker.options import MOST_COROUTINES, WorkerOptions
from django_tasks.worker.reload import run_with_reloader
from django_tasks.worker.supervisor import Supervisor

LEVELS = ("debug", "info", "warning", "error", "critical")


class Command(BaseCommand):
    help = "Runs background tasks. SIGTERM or Ctrl-C ends it when running tasks have ended; a second one ends it now."

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
        parser.add_argument(
            "--max-tasks-per-child",
            type=_count(1),
            metavar="N",
            help="Replace a task process that has run this many tasks. Default: never.",
        )
        parser.add_argument(
            "--max-memory-per-child",
            type=_count(1),
            metavar="KB",
            help="Replace a task process that has more resident memory than this, in kB (1,024 bytes), when its "
            "running tasks have ended. Default: never.",
        )
        parser.add_argument(
            "--max-memory",
            type=_count(1),
            metavar="KB",
            help="Kill a task process that has more resident memory than this, in kB; for its tasks it is a crash. "
            "Default: never.",
        )
        parser.add_argument(
            "--events",
            "-E",
            action="store_true",
            help="Be seen and controlled by Flower and `celery inspect`. Needs a broker such as Redis or RabbitMQ.",
        )
        parser.add_argument(
            "--health-port",
            type=_count(0, 65535, why="there is no such port"),
            default=0,
            metavar="PORT",
            help="Answer /livez and /readyz on this port, for probes. Default: 0, which is none.",
        )
        parser.add_argument(
            "--health-host",
            default="127.0.0.1",
            metavar="ADDRESS",
            help="Where that port is: 0.0.0.0 or :: for probes from other machines, as those of Kubernetes are. "
            "Default: 127.0.0.1.",
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
            max_tasks_per_child=given["max_tasks_per_child"],
            max_memory_per_child=given["max_memory_per_child"],
            max_memory=given["max_memory"],
            progress=given["burst"] and sys.stdout.isatty(),
            events=given["events"],
            health_host=given["health_host"],
            health_port=given["health_port"],
        )
        _check_events(options)
        _check_limits(options)
        _check_migrated()
        listener = _listener(options)
        registry.autodiscover()
        _check_memory(options)
        self.stdout.write(banner(options))
        signals.worker_init.tell(options.full_name)
        code = Supervisor(options, listener).run() if options.processes else solo.run(options, listener)
        if code:
            sys.exit(code)


def _queues(names: str | None) -> tuple[str, ...]:
    if not names:
        return queues.declared()
    try:
        return tuple(dict.fromkeys(queues.check(name.strip()) for name in names.split(",") if name.strip()))
    except UnknownQueue as error:
        raise CommandError(str(error)) from error


def _check_events(options: WorkerOptions) -> None:
    if options.events and broker().is_embedded:
        raise CommandError(
            f"--events: the broker {broker().url!r} cannot reach monitors. Leave the option out and "
            "look at the tasks in the admin, or set BROKER_URL to one that has, such as redis:// or amqp://."
        )


def _check_limits(options: WorkerOptions) -> None:
    given = {
        "--max-tasks-per-child": options.max_tasks_per_child,
        "--max-memory-per-child": options.max_memory_per_child,
        "--max-memory": options.max_memory,
    }
    wanted = [name for name, value in given.items() if value is not None]
    if wanted and not options.processes:
        raise CommandError(
            f"{wanted[0]}: with --processes 0 there is no task process to be replaced. Leave one of both out."
        )
    if any("memory" in name for name in wanted) and not memory.is_known():
        raise CommandError(
            f"{wanted[-1]}: this system does not tell how much memory processes have. Leave the option out."
        )


def _check_memory(options: WorkerOptions) -> None:
    """Everything is loaded now, and every task process will have it."""
    needed = memory.resident(os.getpid())
    if options.max_memory is not None and needed > options.max_memory:
        raise CommandError(
            f"--max-memory: a process has {needed} kB before it runs anything, and would be killed by its first "
            "task. Allow more than that."
        )


def _listener(options: WorkerOptions) -> socket.socket | None:
    if not options.health_port:
        return None
    try:
        return probes.listen(options.health_host, options.health_port)
    except OSError as error:
        why = str(error.strerror or error).partition(" (")[0]
        raise CommandError(
            f"--health-port: {options.health_host} port {options.health_port} cannot be had: {why}. "
            "Name another port, or end what listens there."
        ) from error


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


def _count(least: int, most: int | None = None, *, why: str = "start more processes instead") -> Any:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        if most is not None and int(text) > most:
            raise argparse.ArgumentTypeError(f"{text} is more than {most}: {why}")
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
