"""Tasks that talk."""

import sys
from typing import Any

from django_tasks import Task, get_task_logger, task
from tests.ledger.tasks import wait_for

logger = get_task_logger(__name__)


@task(bind=True)
def talk(self: Task[..., Any]) -> list[Any]:
    print("printed")
    print("complained", file=sys.stderr)
    self.get_logger().info("logged at info")
    logger.warning("logged at warning")
    return [self.request.logfile, self.request.loglevel]


@task
def hold_on(gate: str) -> None:
    wait_for(gate)


@task
async def talk_later() -> str:
    print("printed by a coroutine")
    return "later"


@task(bind=True, send_error_emails=True)
def try_twice(self: Task[..., Any]) -> None:
    try:
        raise ValueError("busy")
    except ValueError as error:
        raise self.retry(exc=error, countdown=0, max_retries=1) from error


@task(throws=(KeyError,))
def expect() -> None:
    raise KeyError("as usual")


@task(error_whitelist=["builtins.LookupError"])
def listed() -> None:
    raise LookupError("nobody wants to read this")
