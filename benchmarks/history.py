"""A site with a past: tasks of thirty days, some failures, a backlog, workers. For measuring pages, not tasks."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

from django.db import connection

from django_tasks import clock, states
from django_tasks.models import FailureGroup, FailureHour, QueuedMessage, QueuePause, TaskResult, Worker
from django_tasks.models.failure import hour_of
from django_tasks.worker.rollups import Rollups

TASKS = tuple(f"shop.tasks.{name}" for name in ("pay", "ship", "bill", "index", "mail", "report"))
QUEUES = ("default", "mail")
WORKERS = tuple(f"worker-{number}@web-{number}" for number in range(1, 5))
DAYS = 30
#: Of the tasks, and of the messages that wait.
FAILING, BACKLOG, LATER = 0.06, 20_000, 300
AT_ONCE = 5_000
#: How the ids begin, so that nobody else's tasks are taken for ours.
OURS = "bench-"
KINDS = ("ConnectionError", "TimeLimitExceeded", "DoesNotExist")


class NotOurs(Exception):
    """The database has tasks that this did not make."""


def make(number: int) -> None:
    """Unless it is there already. Raises `NotOurs`."""
    tasks = TaskResult.objects.all()
    if tasks.exclude(id__startswith=OURS).exists():
        raise NotOurs("There are other tasks in this database. Name one that may be filled.")
    if tasks.count() != number:
        _clear()
        for first in range(0, number, AT_ONCE):
            tasks.insert(list(_ended(range(first, min(first + AT_ONCE, number)), number)))
        _make_failures()
    _make_present()
    counting = Rollups()
    while counting.turn() is not None:
        pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor != "mysql" else "ANALYZE TABLE django_tasks_taskresult")


def _clear() -> None:
    for rows in (TaskResult, FailureHour, FailureGroup):
        rows._default_manager.all().delete()


def _ended(numbers: range, among: int) -> Iterator[TaskResult]:
    """In the order of time, evenly over the days."""
    now = clock.now()
    for number in numbers:
        chance = random.Random(number)
        failed = chance.random() < FAILING
        sent = now - dt.timedelta(days=DAYS) * (1 - number / among) - dt.timedelta(minutes=1)
        started = sent + dt.timedelta(seconds=chance.expovariate(5))
        yield TaskResult(
            id=f"{OURS}{number:09}",
            task=TASKS[number % len(TASKS)],
            status=states.FAILURE if failed else states.SUCCESS,
            queue=QUEUES[number % 2],
            args=f"({number},)",
            message='{"body": "' + "x" * 500 + '"}',
            result='{"exc_type": "ConnectionError"}' if failed else "null",
            worker=WORKERS[number % len(WORKERS)],
            created_at=clock.to_storage(sent),
            started_at=clock.to_storage(started),
            finished_at=clock.to_storage(started + dt.timedelta(seconds=chance.expovariate(1))),
        )


def _make_failures() -> None:
    now = clock.now()
    for number, error in enumerate(KINDS):
        kind = FailureGroup.objects.create(
            fingerprint=f"{number:016}",
            task=TASKS[number],
            error_type=error,
            sample="It could not be reached.",
            count=20_000,
            first_seen=clock.to_storage(now - dt.timedelta(days=DAYS)),
            last_seen=clock.to_storage(now),
        )
        for back in range(7 * 24):
            hour = hour_of(clock.to_storage(now - dt.timedelta(hours=back)))
            FailureHour.objects.create(fingerprint=kind.pk, hour=hour, count=30)


def _make_present() -> None:
    """What waits and runs is new each time."""
    now = clock.now()
    for rows in (QueuedMessage, QueuePause, Worker):
        rows._default_manager.all().delete()
    for number, name in enumerate(WORKERS):
        Worker.objects.create(
            id=f"{number:032}",
            name=name,
            hostname=name.partition("@")[2],
            pid=4000 + number,
            queues=", ".join(QUEUES),
            processes=4,
            threads=2,
            version="0",
            started_at=clock.to_storage(now - dt.timedelta(hours=5)),
            renewed_at=clock.to_storage(now),
            lease_until=clock.to_storage(now + dt.timedelta(days=1)),
        )
    messages = [
        QueuedMessage(
            queue="default",
            priority=number % 10,
            sent_at=clock.to_storage(now - dt.timedelta(seconds=number % 300)),
            payload="{}",
        )
        for number in range(BACKLOG)
    ]
    due = clock.to_storage(now + dt.timedelta(hours=1))
    parked = QueuedMessage.State.PARKED
    for message in messages[:LATER]:
        message.state, message.deliver_at = parked, due
    QueuedMessage.objects.insert(messages)
    QueuePause.objects.pause("mail", "the mail server moves")
