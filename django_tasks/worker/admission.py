"""Admission: which of the received messages this process runs, and what becomes of the others.

Runs inside the receiver's transaction: on the embedded broker the messages go and the rows are claimed together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from django_tasks import clock, conf, registry, states
from django_tasks.brokers.broker import Delivery, Receiver, broker
from django_tasks.definition.task import Task
from django_tasks.exceptions import DecodeError, NotRegistered, TaskRevokedError
from django_tasks.execution import news
from django_tasks.execution.outcome import Request, Revoked
from django_tasks.message.errors import write_error
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import decode
from django_tasks.models import TaskResult
from django_tasks.models.result import TaskResultQuerySet

logger = logging.getLogger("django_tasks.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What this process now owes an ending: tasks to run, and tasks that ended before they began."""

    requests: list[Request] = field(default_factory=list)
    revoked: list[Revoked] = field(default_factory=list)


def admit(
    deliveries: Sequence[Delivery],
    receiver: Receiver,
    worker: str,
    takes: Callable[[bool], bool] = lambda is_async: True,
) -> Admitted:
    """`takes` is asked of each whether there is room for it, a coroutine or not; the others stay in their queues."""
    readable = _readable(deliveries, receiver, worker, takes)
    if not readable:
        return Admitted()
    tracked = {message.id: (delivery, message) for delivery, message, ignored in readable if not ignored}
    claimed = _claim(tracked, receiver.owner, worker)
    untracked = [(delivery, message) for delivery, message, ignored in readable if ignored]
    late = [(delivery, message) for delivery, message in untracked if acks_late(registry.find(message.task))]
    kept = {id(delivery) for delivery, _ in late}
    # A tracked task's row is the truth from here on; the message has done its work, doubled ones included.
    receiver.settle([delivery for delivery, _, _ in readable if id(delivery) not in kept])
    requests = [
        Request(
            message=tracked[key][1],
            worker=worker,
            owner=receiver.owner,
            is_async=_find(tracked[key][1]).is_async,
        )
        for key in tracked
        if key in claimed
    ]
    requests += [
        Request(
            message=message,
            worker=worker,
            tracked=False,
            delivery=delivery if id(delivery) in kept else None,
            is_async=_find(message).is_async,
        )
        for delivery, message in untracked
    ]
    admitted = _without_expired(requests)
    _when_claimed(lambda: news.received(requests))
    _when_claimed(lambda: news.expired(admitted.revoked))
    return admitted


def _when_claimed(tell: Callable[[], None]) -> None:
    """Receivers of signals have no business in the transaction of the claim, and cannot make it fail."""
    transaction.on_commit(tell, using=broker().alias, robust=True)


#: Celery's tasks that run whatever code a message holds.
_REFUSED = frozenset({"celery.execute_remote", "celery.map_async"})


def _readable(
    deliveries: Sequence[Delivery], receiver: Receiver, worker: str, takes: Callable[[bool], bool]
) -> list[tuple[Delivery, TaskMessage, bool]]:
    """The messages that can be run here, each with whether its result is ignored; the others are set aside."""
    accept = conf.current().ACCEPT_CONTENT
    readable = []
    refused: list[tuple[Envelope, Exception]] = []
    unfit = []
    for delivery in deliveries:
        try:
            message = decode(delivery.envelope, queue=delivery.queue, accept=accept)
            task: Task[..., object] = _find(message)
        except (DecodeError, NotRegistered) as refusal:
            logger.error("Message set aside from queue %s: %s", delivery.queue, refusal)
            receiver.set_aside(delivery, str(refusal))
            refused.append((delivery.envelope, refusal))
            continue
        if not takes(task.is_async):
            unfit.append(delivery)
            continue
        ignored = _ignores_result(task) if message.ignore_result is None else message.ignore_result
        ignored = (
            ignored and not task.atomic
        )  # whose end is recorded with its effects, whatever a stranger says
        readable.append((delivery, message, ignored))
    receiver.release(unfit)
    _when_claimed(lambda: news.set_aside(worker, refused))
    return readable


def _find(message: TaskMessage) -> Task[..., object]:
    try:
        found: Task[..., object] = registry.find(message.task)
    except NotRegistered as error:
        if message.task not in _REFUSED:
            raise
        raise NotRegistered(
            f"{message.task} would run code that came in a message; it is refused by design. "
            "Send a task by its name; for many calls of one task use its bulk()."
        ) from error
    return found


def acks_late(task: Task[..., object]) -> bool:
    """May it run again if its worker dies? An atomic one has not done anything then."""
    if task.atomic:
        return True
    return conf.current().TASK_ACKS_LATE if task.acks_late is None else task.acks_late


def _ignores_result(task: Task[..., object]) -> bool:
    return conf.current().TASK_IGNORE_RESULT if task.ignore_result is None else task.ignore_result


def _claim(tracked: Mapping[str, tuple[Delivery, TaskMessage]], owner: str, worker: str) -> set[str]:
    if not tracked:
        return set()
    rows = TaskResult.objects.using(conf.current().DATABASE)
    claimed = rows.claim(tracked.keys(), owner)
    if len(claimed) == len(tracked):
        return claimed
    unclaimed = {id: tracked[id] for id in tracked.keys() - claimed}
    known = dict(rows.filter(id__in=list(unclaimed)).values_list("id", "status"))
    revoked = [id for id, status in known.items() if status == states.REVOKED]
    discarded = [Request(message=unclaimed[id][1], worker=worker) for id in revoked]
    _when_claimed(lambda: news.discarded(discarded))
    return claimed | _adopt(rows, [unclaimed[id] for id in unclaimed.keys() - known.keys()], owner)


def _adopt(rows: TaskResultQuerySet, foreign: Sequence[tuple[Delivery, TaskMessage]], owner: str) -> set[str]:
    """Claim tasks that have no row because a foreign program sent them."""
    return rows.adopt([TaskResult.of(message, delivery.envelope) for delivery, message in foreign], owner)


def _without_expired(requests: Sequence[Request]) -> Admitted:
    now = clock.now()
    admitted = Admitted()
    for request in requests:
        expires = request.message.expires
        if expires is not None and expires <= now:
            error = write_error(TaskRevokedError("expired"))
            admitted.revoked.append(Revoked(request=request, error=error, finished_at=now))
        else:
            admitted.requests.append(request)
    return admitted
