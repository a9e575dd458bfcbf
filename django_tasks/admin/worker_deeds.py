"""What an operator can do to a worker, and to the task that it runs."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_tasks import app, clock, conf
from django_tasks.models import TaskResult, WorkerCommand
from django_tasks.models.worker import WorkerQuerySet

from .actions import Refused, deed


@deed(
    gettext_lazy("Drain"),
    "stop_worker",
    gettext_lazy("It takes nothing more, and ends when what it runs has ended, however long that takes."),
)
def drain(request: HttpRequest, rows: WorkerQuerySet) -> str:
    number = _tell(rows, "drain")
    told = ngettext(
        "%d worker takes nothing more, and ends when it is idle.",
        "%d workers take nothing more, and end when they are idle.",
        number,
    )
    return told % number


@deed(
    gettext_lazy("Stop"),
    "stop_worker",
    gettext_lazy(
        "It ends as SIGTERM would end it: what outlasts its time of grace is cut off. "
        "Whatever watches it may start it anew."
    ),
    is_dangerous=True,
)
def stop(request: HttpRequest, rows: WorkerQuerySet) -> str:
    number = _tell(rows, "shutdown")
    told = ngettext(
        "%d worker was asked to end. What it runs has its time of grace.",
        "%d workers were asked to end. What they run has its time of grace.",
        number,
    )
    return told % number


@deed(
    gettext_lazy("Kill task"),
    "kill_task",
    gettext_lazy(
        "The process that runs it is killed, within about a second, and the task ends as revoked. "
        "What else runs in that process is treated as if that had crashed."
    ),
    is_dangerous=True,
)
def kill(request: HttpRequest, rows: Sequence[str]) -> str:
    """Of a task that has not begun, or not ended: it is stopped where it runs, or never begins."""
    found = TaskResult.objects.using(conf.current().DATABASE)
    ids = list(found.not_final().filter(id__in=rows).values_list("id", flat=True))
    if not ids:
        raise Refused(_("It has ended meanwhile."))
    app.control.terminate(ids)
    told = ngettext("%d task is being stopped.", "%d tasks are being stopped.", len(ids))
    return told % len(ids)


def _tell(rows: WorkerQuerySet, method: str) -> int:
    now = clock.to_storage(clock.database_now(connections[rows.db]))
    ids = [worker.id for worker in rows.addressed(None, now)]
    if not ids:
        raise Refused(_("Nobody is there who could hear it: the lease is over."))
    WorkerCommand.objects.using(rows.db).ask(ids, method, {})
    return len(ids)
