"""Telling tasks of failures that came about without them: their process was killed, or lost with its machine.

Whoever records such an end runs no user code. So it sends an order to tell, and a task process calls `on_failure` and
`after_return` as it does after any failure.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from django_tasks import clock, conf, registry, signals, states
from django_tasks.definition.einfo import ExceptionInfo
from django_tasks.definition.request import Context, running
from django_tasks.definition.task import Task
from django_tasks.dispatch.now import send
from django_tasks.exceptions import NotRegistered
from django_tasks.message.message import TaskMessage
from django_tasks.message.task_id import new_task_id
from django_tasks.models import TaskResult
from django_tasks.results.store import Record

from . import errbacks, mails, news
from .outcome import Failed, Request
from .run import Run

#: The task that calls `tell_of_failure` in a task process.
TELL = "django_tasks.tell_of_failure"


def report_failures(ids: Collection[str]) -> None:
    """Have those of these tasks told that want to know. Part of the transaction that records the failures.

    To be stopped by `revoke(terminate=True)` is no failure, but `task_revoked` tells of it in the same way.
    """
    if not ids:
        return
    if orders := [_order(row) for row in _ended(ids) if _wants_to_know(row)]:
        send(orders)


def _ended(ids: Collection[str]) -> QuerySet[TaskResult]:
    rows = TaskResult.objects.using(conf.current().DATABASE)
    return rows.filter(id__in=list(ids), status__in=(states.FAILURE, states.REVOKED))


def _wants_to_know(row: TaskResult) -> bool:
    if row.status == states.REVOKED:
        return bool(signals.task_revoked.receivers)
    try:
        task = registry.find(row.task)
    except NotRegistered:
        return False
    if signals.task_failure.receivers or mails.is_on(task):
        return True
    order = row.order()
    if order is not None and any(map(errbacks.is_called_here, order.errbacks or ())):
        return True
    kind = type(task)
    return kind.on_failure is not Task.on_failure or kind.after_return is not Task.after_return


def _order(row: TaskResult) -> TaskMessage:
    return TaskMessage(id=new_task_id(), task=TELL, args=(row.id,), queue=row.queue, ignore_result=True)


def tell_of_failure(task_id: str) -> None:
    """Call the handlers of a task whose failure is recorded, as if it had failed here and now."""
    row = _ended([task_id]).get()
    message = _message(row)
    request = Request(message=message, worker=row.worker)
    if row.status == states.REVOKED:
        news.terminated(request)
        return
    task = registry.find(row.task)
    run = Run(request, task)
    run.value = _error(row)
    run.einfo = ExceptionInfo(run.value)
    failed = Failed(
        request=run.request, error=row.result or "", traceback=None, started_at=None, finished_at=clock.now()
    )
    with running(task, Context.of(message, hostname=row.worker)):
        run.call_handlers(task, failed)


def call_errbacks(task_id: str) -> None:
    """Call the error callbacks of a task that never ran, and whose failure is recorded."""
    row = _ended([task_id]).get()
    errbacks.call_all(_message(row), _error(row))


def _message(row: TaskResult) -> TaskMessage:
    return row.order() or TaskMessage(id=row.id, task=row.task, queue=row.queue)


def _error(row: TaskResult) -> BaseException:
    error: BaseException = Record(id=row.id, status=row.status, text=row.result).result
    return error
