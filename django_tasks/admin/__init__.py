"""The rows in Django's own admin, to look at. Nothing here changes one.

The classes register themselves with the default site; another `AdminSite` takes them the ordinary way:
`site.register(TaskResult, TaskResultAdmin)`.
"""

from .groups import TaskGroupAdmin
from .queues import QueuedMessageAdmin
from .results import TaskResultAdmin
from .workers import WorkerAdmin

__all__ = ["QueuedMessageAdmin", "TaskGroupAdmin", "TaskResultAdmin", "WorkerAdmin"]
