"""Loggers for tasks: each record says which task, and which run of it, wrote it."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from .request import Context, sender

if TYPE_CHECKING:
    from .task import Task

#: Configure this one, and all loggers of tasks follow. It is also that of the lines about tasks.
PARENT = "django_tasks.task"


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds `about_run` to each record: of its own task, or of whatever task is running."""

    def __init__(self, name: str, task: Task[..., Any] | None = None) -> None:
        super().__init__(logging.getLogger(f"{PARENT}.{name}"), None)
        self.task = task

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        run = self.task.request if self.task is not None else sender()
        kwargs["extra"] = {**about_run(run), **(kwargs.get("extra") or {})}
        return msg, kwargs


def about_run(run: Context | None) -> dict[str, Any]:
    """What a record says of the run that wrote it: `task_name`, `task_id`, `queue`, `attempt` (from 1).

    All are `None` where no task runs; all but the name where it was called directly.
    """
    if run is None or run.called_directly:
        name = run.task if run else None
        return {"task_name": name, "task_id": None, "queue": None, "attempt": None}
    return {
        "task_name": run.task,
        "task_id": run.id,
        "queue": run._message.queue,
        "attempt": run.retries + 1,
    }


def get_task_logger(name: str) -> TaskLogger:
    """A logger for a module with tasks: `logger = get_task_logger(__name__)`."""
    return TaskLogger(name)
