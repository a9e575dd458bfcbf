"""In a task process: calling the handlers of a task that ended elsewhere, as report.py has ordered."""

from __future__ import annotations

from django_tasks import clock, registry, states
from django_tasks.definition.einfo import ExceptionInfo
from django_tasks.definition.request import Context, running
from django_tasks.models import TaskResult
from django_tasks.results.store import Record

from . import errbacks, news
from .outcome import Failed, Request
from .report import ended
from .run import Run


def tell_of_failure(task_id: str) -> None:
    """Call the handlers of a task whose failure is recorded, as if it had failed here and now."""
    row = ended([task_id]).get()
    message = row.to_message()
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
    row = ended([task_id]).get()
    errbacks.call_all(row.to_message(), _error(row))


def _error(row: TaskResult) -> BaseException:
    error: BaseException = Record(id=row.id, status=row.status, text=row.result).result
    return error
