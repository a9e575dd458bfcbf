"""How a task is run and tried again: what its call said, or else the task, or else the settings."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks import clock, conf, states
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult

from . import declared, times

Line = tuple[str, SafeString | str]


def lines(row: TaskResult, order: TaskMessage | None) -> list[Line]:
    """Names and values. `order` is left out for those who may not see what it says."""
    task = declared.task(row.task)
    return [
        (_("Queue"), row.queue),
        (_("Priority"), str(row.priority)),
        *(_of_call(order) if order else ()),
        *_limits(order, task),
        *(_retries(task) if task else ()),
    ]


def attempts(row: TaskResult) -> str:
    """`2/5`: how often it was run, and may be. Nothing of what nobody had to try again."""
    if not row.retries:
        return ""
    waits = not row.is_final and row.claimed_by is None
    number = row.retries if waits or row.status == states.REVOKED else row.retries + 1
    task = declared.task(row.task)
    most = 0 if task is None else _most(task)
    if most is None:
        return f"{number}/∞"
    return f"{number}/{most}" if number <= most else str(number)


def _of_call(order: TaskMessage) -> list[Line]:
    return [
        (name, times.exact(clock.to_storage(moment)))
        for name, moment in ((_("Not before"), order.eta), (_("Expires"), order.expires))
        if moment
    ]


def _limits(order: TaskMessage | None, task: Any) -> list[Line]:
    settings = conf.current()
    said = (order, task)
    hard = _first("time_limit", said) or settings.TASK_TIME_LIMIT
    soft = _first("soft_time_limit", said) or settings.TASK_SOFT_TIME_LIMIT
    rate = _first("rate_limit", (task,)) or settings.TASK_DEFAULT_RATE_LIMIT
    return [
        (_("Time limit"), _span(hard)),
        (_("Soft time limit"), _span(soft)),
        (_("Rate limit"), str(rate) if rate else times.NOTHING),
    ]


def _retries(task: Any) -> list[Line]:
    most = _most(task)
    kinds = ", ".join(kind.__name__ for kind in task.autoretry_for or ())
    return [
        (_("Attempts at most"), "∞" if most is None else str(most)),
        (_("Tried again by itself for"), kinds or times.NOTHING),
        (_("Tried again after"), _delay(task)),
    ]


def _delay(task: Any) -> str:
    if not task.retry_backoff or not task.autoretry_for:
        return _span((task.retry_kwargs or {}).get("countdown", task.default_retry_delay))
    first = max(1.0, float(task.retry_backoff))
    words = _("%(first)s, then twice as long each time, up to %(most)s") % {
        "first": _span(first),
        "most": _span(task.retry_backoff_max),
    }
    return _("%s; each is drawn at random from up to that") % words if task.retry_jitter else words


def _most(task: Any) -> int | None:
    """Runs, the first one included; `None` without end."""
    retries = (task.retry_kwargs or {}).get("max_retries", task.max_retries)
    return None if retries is None else int(retries) + 1


def _first(name: str, said: tuple[Any, ...]) -> Any:
    return next((value for one in said if one is not None and (value := getattr(one, name, None))), None)


def _span(seconds: float | None) -> str:
    return times.span(dt.timedelta(seconds=seconds)) if seconds else times.NOTHING
