"""Telling tasks of failures that came about without them: their process was killed, or lost with its machine.

Whoever records such an end runs no user code. So it publishes an order to tell, and a task process calls `on_failure`
and `after_return` as it does after any failure (telling.py).
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from django_tasks import conf, registry, signals, states
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.definition.task import Task
from django_tasks.exceptions import NotRegistered
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.task_id import new_task_id
from django_tasks.models import TaskResult

from . import errbacks, mails

#: The task that calls `telling.tell_of_failure` in a task process.
TELL = "django_tasks.tell_of_failure"


def report_failures(ids: Collection[str]) -> None:
    """Have those of these tasks told that want to know. Part of the transaction that records the failures.

    To be stopped by `revoke(terminate=True)` is no failure, but `task_revoked` tells of it in the same way.
    """
    if not ids:
        return
    orders = [_order(row) for row in ended(ids) if _wants_to_know(row)]
    # Past the project's middleware and signals for sending: what they raise must not keep a dead task from ending.
    broker().publish([Posting(envelope=encode(order), queue=order.queue) for order in orders])


def ended(ids: Collection[str]) -> QuerySet[TaskResult]:
    rows = TaskResult.objects.using(conf.current().DATABASE)
    return rows.filter(id__in=list(ids), status__in=(states.FAILURE, states.REVOKED))


def _wants_to_know(row: TaskResult) -> bool:
    if row.status == states.REVOKED:
        return bool(signals.task_revoked.receivers)
    try:
        task = registry.find(row.task)
    except NotRegistered:
        return False
    if signals.task_failure.receivers or mails.is_on(task):
        return True
    order = row.order()
    if order is not None and any(map(errbacks.is_called_here, order.errbacks or ())):
        return True
    kind = type(task)
    return kind.on_failure is not Task.on_failure or kind.after_return is not Task.after_return


def _order(row: TaskResult) -> TaskMessage:
    return TaskMessage(id=new_task_id(), task=TELL, args=(row.id,), queue=row.queue, ignore_result=True)
