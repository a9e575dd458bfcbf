"""Where a worker's log goes, and what its lines look like unless the project's LOGGING says otherwise."""

from __future__ import annotations

import logging
from logging.handlers import WatchedFileHandler

from django_tasks.definition.logger import PARENT
from django_tasks.definition.worker_log import WorkerLog, set_worker_log


def configure(level: str, file: str | None) -> None:
    """Log from `level` on to `file`; without one to standard error, unless the project's LOGGING takes it already.

    Raises `OSError` if the file cannot be opened.
    """
    logger = logging.getLogger("django_tasks")
    logger.setLevel(level.upper())
    if file is not None:
        # Rotated under us by another program, it is opened anew.
        _add(logger, WatchedFileHandler(file, encoding="utf-8"))
    elif not logger.hasHandlers():
        _add(logger, logging.StreamHandler())
    set_worker_log(WorkerLog(file=file, level=logger.level))


def _add(logger: logging.Logger, handler: logging.Handler) -> None:
    handler.setFormatter(Formatter())
    logger.addHandler(handler)


class Formatter(logging.Formatter):
    """Puts the task in front of what it logged; the lines *about* tasks name theirs themselves."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(process)d] %(task)s%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        task_id = getattr(record, "task_id", None)
        is_of_task = task_id is not None and record.name != PARENT
        record.task = f"{getattr(record, 'task_name', None)}[{task_id}]: " if is_of_task else ""
        return super().formatMessage(record)
