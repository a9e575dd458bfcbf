"""Background tasks for Django, on the site's own database.

This is the public API. Importing it loads no models and needs no settings: a `models.py` may import tasks.
"""

from django_tasks import exceptions, signals, states
from django_tasks.canvas.chain import chain
from django_tasks.canvas.chord import chord
from django_tasks.canvas.group import TaskSet, group
from django_tasks.canvas.maps import chunks, xmap, xstarmap
from django_tasks.canvas.signature import Signature, maybe_signature, signature, subtask
from django_tasks.definition.abortable import AbortableAsyncResult, AbortableTask
from django_tasks.definition.app import app
from django_tasks.definition.decorators import shared_task, task
from django_tasks.definition.logger import get_task_logger
from django_tasks.definition.on_commit import apply_async_on_commit, delay_on_commit
from django_tasks.definition.request import current_task
from django_tasks.definition.task import Task
from django_tasks.message.task_id import new_task_id as uuid
from django_tasks.results.async_result import AsyncResult, EagerResult
from django_tasks.results.joining import allow_join_result
from django_tasks.results.result_set import GroupResult, ResultSet, TaskSetResult, result_from_tuple

# Defining tasks.
__all__ = ["AbortableTask", "Task", "app", "shared_task", "task"]
# Sending them, and asking after them.
__all__ += [
    "AbortableAsyncResult",
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultSet",
    "TaskSetResult",
    "apply_async_on_commit",
    "delay_on_commit",
    "result_from_tuple",
    "uuid",
]
# Composing them.
__all__ += ["Signature", "TaskSet", "chain", "chord", "chunks", "group"]
__all__ += ["maybe_signature", "signature", "subtask", "xmap", "xstarmap"]
# Inside a running task.
__all__ += ["allow_join_result", "current_task", "get_task_logger"]
# Words.
__all__ += ["exceptions", "signals", "states"]
