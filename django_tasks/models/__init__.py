"""The rows. Each model stands beside its QuerySet, and a question about rows is a method there."""

from .attempt import TaskAttempt
from .command import WorkerCommand
from .failure import FailureGroup, FailureHour, FailureTally
from .group import TaskGroup
from .overview import Overview
from .pause import QueuePause
from .queue import QueuedMessage
from .result import TaskResult
from .rollup import RollupMark, TaskRollup
from .saved_view import SavedView
from .sight import Sight
from .worker import Worker

__all__ = [
    "FailureGroup",
    "FailureHour",
    "FailureTally",
    "Overview",
    "QueuePause",
    "QueuedMessage",
    "RollupMark",
    "SavedView",
    "Sight",
    "TaskAttempt",
    "TaskGroup",
    "TaskResult",
    "TaskRollup",
    "Worker",
    "WorkerCommand",
]
