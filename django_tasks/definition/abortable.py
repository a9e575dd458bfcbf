"""Tasks that can be asked to stop, and look now and then whether they were (celery.contrib.abortable)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_tasks.results.async_result import AsyncResult
from django_tasks.results.handler import results

from .task import Task

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


class AbortableAsyncResult(AsyncResult[R]):
    """The handle on a task that can be asked to stop."""

    def abort(self) -> bool:
        """Ask the task to stop. False if it has ended, or nothing is known of it.

        Its state is ABORTED until its body has ended; whether and when it obeys, and how it ends, is its own affair.
        One that waits in its queue is begun all the same, and finds that it is to stop.
        """
        return results().abort(self.id)

    def is_aborted(self) -> bool:
        """Was it asked to stop? Also true of a task that has ended since."""
        return results().is_aborted(self.id)


class AbortableTask(Task[P, R]):
    """A base for tasks that run for long.

    @task(bind=True, base=AbortableTask)
    def crawl(self, start):
        for page in pages(start):
            if self.is_aborted():
                return "stopped"
            read(page)

    AbortableAsyncResult(id).abort()
    """

    abstract = True

    def is_aborted(self, task_id: str | None = None) -> bool:
        """Is this run, or the task of another id, to stop? Asks the database each time; false if called directly."""
        id = task_id or self.request.id
        return id is not None and results().is_aborted(id)

    def AsyncResult(self, task_id: str) -> AbortableAsyncResult[R]:  # noqa: N802 - Celery's name
        """The handle on an earlier run of the task."""
        return AbortableAsyncResult(task_id, backend=self.backend)
