"""The rows in Django's own admin: pages to look at, and what an operator can do there.

The classes register themselves with the default site; another `AdminSite` takes them the ordinary way:
`site.register(TaskResult, TaskResultAdmin)`.
"""

from django.apps import apps

# Template tags of ours need parts of this, and are imported by every template, also where there is no admin.
if apps.is_installed("django.contrib.admin"):
    from .groups import TaskGroupAdmin
    from .menu import OverviewAdmin
    from .queues import QueuedMessageAdmin
    from .results import TaskResultAdmin
    from .subjects import TasksInline
    from .workers import WorkerAdmin

__all__ = [
    "OverviewAdmin",
    "QueuedMessageAdmin",
    "TaskGroupAdmin",
    "TaskResultAdmin",
    "TasksInline",
    "WorkerAdmin",
]
