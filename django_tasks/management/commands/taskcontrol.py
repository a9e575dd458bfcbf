"""`manage.py taskcontrol`: what `app.control` does, from the command line."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from django_tasks import app, clock
from django_tasks.exceptions import NotRegistered, OperationalError, UnknownQueue

QUESTIONS = (
    *("active", "active_queues", "conf", "ping", "query_task", "registered", "report", "reserved"),
    *("revoked", "scheduled", "stats"),
)
#: The questions that take arguments.
DETAILED = ("query_task", "registered")


class Command(BaseCommand):
    help = "Asks running workers, ends them, and pauses, resumes or empties queues."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        ping = actions.add_parser("ping", help="Who is there? Exit status 1 if nobody answers.")
        question = actions.add_parser("inspect", help="Ask workers something; the answers are JSON.")
        question.add_argument("question", choices=QUESTIONS)
        question.add_argument("arguments", nargs="*", help="Ids for query_task, options for registered.")
        shutdown = actions.add_parser("shutdown", help="End workers as SIGTERM does.")
        drain = actions.add_parser(
            "drain", help="Have workers take nothing more, and end when they are idle."
        )
        rate_limit = actions.add_parser("rate_limit", help="Change how often a task may begin.")
        rate_limit.add_argument("task")
        rate_limit.add_argument("rate", help="Such as 10/s, 100/m or 5/h; 0 lifts the limit.")
        for some in (ping, question, shutdown, drain, rate_limit):
            some.add_argument(
                "--destination", "-d", help="Names of workers, separated by commas. Default: all."
            )
        for some in (ping, question):
            some.add_argument("--timeout", "-t", type=float, default=1.0, help="Seconds to wait. Default: 1.")
        revoke = actions.add_parser("revoke", help="End tasks that have not begun.")
        revoke.add_argument("ids", nargs="+")
        revoke.add_argument("--terminate", action="store_true", help="Stop those that run, too.")
        pause = actions.add_parser("pause", help="Have no worker take from a queue until it is resumed.")
        pause.add_argument("--reason", default="", help="Shown by taskqueues.")
        pause.add_argument(
            "--until", help="When it is served again, such as 2026-03-01T06:00. Default: resume."
        )
        resume = actions.add_parser("resume", help="Have a queue served again.")
        purge = actions.add_parser("purge", help="Throw away what is ready in a queue, and end its tasks.")
        for some in (pause, resume, purge):
            some.add_argument("queue")

    def handle(self, *args: Any, **given: Any) -> None:
        names = given.get("destination")
        given["destination"] = names.split(",") if names else None
        try:
            self.stdout.write(getattr(self, given["action"])(given))
        except (UnknownQueue, NotRegistered, OperationalError, ValueError) as error:
            raise CommandError(str(error)) from error

    def ping(self, given: dict[str, Any]) -> str:
        answers = app.control.ping(given["destination"], given["timeout"])
        if not answers:
            self.stderr.write("No worker answered.")
            sys.exit(1)
        return "\n".join(f"{name}: {answer['ok']}" for some in answers for name, answer in some.items())

    def inspect(self, given: dict[str, Any]) -> str:
        if given["arguments"] and given["question"] not in DETAILED:
            raise CommandError(f"{given['question']} takes no arguments. Leave them out.")
        question = getattr(app.control.inspect(given["destination"], given["timeout"]), given["question"])
        return json.dumps(question(*given["arguments"]), indent=2)

    def shutdown(self, given: dict[str, Any]) -> str:
        return f"{app.control.shutdown(given['destination'])} workers were asked to end."

    def drain(self, given: dict[str, Any]) -> str:
        return (
            f"{app.control.drain(given['destination'])} workers take nothing more and end when they are idle."
        )

    def rate_limit(self, given: dict[str, Any]) -> str:
        number = app.control.rate_limit(given["task"], given["rate"], given["destination"])
        return f"{number} workers were told."

    def revoke(self, given: dict[str, Any]) -> str:
        number = app.control.revoke(given["ids"], terminate=given["terminate"])
        return f"{number} tasks that had not begun were revoked."

    def pause(self, given: dict[str, Any]) -> str:
        until = _moment(given["until"]) if given["until"] else None
        is_new = app.control.pause_queue(given["queue"], given["reason"], until=until)
        return f"Queue {given['queue']} is paused{'.' if is_new else ', as it was.'}"

    def resume(self, given: dict[str, Any]) -> str:
        was_paused = app.control.resume_queue(given["queue"])
        return f"Queue {given['queue']} {'is served again.' if was_paused else 'was not paused.'}"

    def purge(self, given: dict[str, Any]) -> str:
        return f"{app.control.purge(given['queue'])} messages were thrown away."


def _moment(text: str) -> dt.datetime:
    """Without an offset, a time of the project's zone."""
    found = parse_datetime(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no time. Write it as 2026-03-01T06:00, or with an offset: 2026-03-01T06:00Z."
        )
    return clock.from_storage(found)
