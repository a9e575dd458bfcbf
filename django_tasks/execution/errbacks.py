"""Error callbacks, in Celery's two styles.

One with several arguments is called where the task failed, with its request, the exception and the traceback as text.
Any other is sent as a task, with the id of the one that failed (docs.celeryq.dev, "Linking Tasks").
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from django_tasks import registry
from django_tasks.canvas.signature import taken
from django_tasks.definition.request import Context
from django_tasks.exceptions import NotRegistered
from django_tasks.message.message import TaskMessage


def is_called_here(errback: Mapping[str, Any]) -> bool:
    """Is it one of those that take the exception?"""
    try:
        task = registry.find(errback.get("task") or "")
    except NotRegistered:
        return False
    return not task.bind and not task.is_async and _takes_several(task.run)


logger = logging.getLogger("django_tasks.worker")


@lru_cache(maxsize=1_000)
def _takes_several(function: Callable[..., Any]) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) > 1


def call_all(message: TaskMessage, error: BaseException, traceback: str = "") -> None:
    """Call those of a failed task's error callbacks that take the exception. What they raise is logged."""
    for errback in message.errbacks or ():
        if is_called_here(errback):
            try:
                taken(errback)(Context.of(message), error, traceback)
            except Exception:
                logger.exception("The error callback %s of task %s raised", errback["task"], message.id)
