"""The rows. Each model stands beside its QuerySet, and a question about rows is a method there."""

from .group import TaskGroup
from .queue import QueuedMessage
from .result import TaskResult
from .worker import Worker

__all__ = ["QueuedMessage", "TaskGroup", "TaskResult", "Worker"]
