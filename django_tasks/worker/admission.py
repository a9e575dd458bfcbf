"""Admission: which of the received messages this process runs, and what becomes of the others.

Runs inside the receiver's transaction: on the embedded broker the messages go and the rows are claimed together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connections, transaction

from django_tasks import clock, conf, registry, states
from django_tasks.brokers import payload
from django_tasks.brokers.broker import Delivery, Posting, Receiver
from django_tasks.brokers.handler import broker
from django_tasks.definition.task import Task
from django_tasks.exceptions import DecodeError, NotRegistered, NotSigned, TaskRevokedError
from django_tasks.execution import news
from django_tasks.execution.outcome import Request, Revoked
from django_tasks.message.errors import write_error
from django_tasks.message.message import TaskMessage
from django_tasks.message.saferepr import storable
from django_tasks.models import TaskResult
from django_tasks.models.batches import fits
from django_tasks.models.result import TaskResultQuerySet

from .reading import read

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
    readable = _park_early(_readable(deliveries, receiver, worker, takes), receiver, worker)
    if not readable:
        return Admitted()
    tracked = _tracked(readable)
    claimed, unfit = _claim(tracked, receiver.owner, worker)
    _refuse(unfit, receiver, worker)
    untracked = [(delivery, message) for delivery, message, ignored in readable if ignored]
    late = [(delivery, message) for delivery, message in untracked if acks_late(registry.find(message.task))]
    kept = {id(delivery) for delivery, _ in (*late, *unfit)}
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


TOO_LONG = (
    "The message takes more than the database takes in one statement. Set its max_allowed_packet, "
    "or DJANGO_TASKS['MESSAGE_MAX_BYTES'] to what fits."
)
#: Celery's tasks that run whatever code a message holds.
_REFUSED = frozenset({"celery.execute_remote", "celery.map_async"})


#: A message that can be run here, and whether its result is ignored.
Readable = tuple[Delivery, TaskMessage, bool]


def _readable(
    deliveries: Sequence[Delivery], receiver: Receiver, worker: str, takes: Callable[[bool], bool]
) -> list[Readable]:
    """The messages that can be run here; the others are set aside."""
    accept = conf.current().ACCEPT_CONTENT
    readable = []
    refused: list[tuple[Delivery, Exception]] = []
    unfit = []
    for delivery in deliveries:
        try:
            message = read(delivery, accept)
            task: Task[..., object] = _find(message)
        except (DecodeError, NotRegistered) as refusal:
            refused.append((delivery, refusal))
            continue
        if not takes(task.is_async):
            unfit.append(delivery)
            continue
        ignored = _ignores_result(task) if message.ignore_result is None else message.ignore_result
        # Its end is recorded with its effects, or goes to the body of a chord, whatever a stranger says.
        ignored = ignored and not task.atomic and message.chord is None
        readable.append((delivery, message, ignored))
    receiver.release(unfit)
    _refuse(refused, receiver, worker)
    return readable


def _refuse(refused: Sequence[tuple[Delivery, Exception]], receiver: Receiver, worker: str) -> None:
    if not refused:
        return
    for delivery, refusal in refused:
        logger.error("Message set aside from queue %s: %s", delivery.queue, refusal)
        receiver.set_aside(delivery, str(refusal))
    told = [(delivery.envelope, refusal) for delivery, refusal in refused]
    _when_claimed(lambda: news.set_aside(worker, told))
    if conf.current().is_apart:
        _stop_awaiting(refused)


def _stop_awaiting(refused: Sequence[tuple[Delivery, Exception]]) -> None:
    """Or they would be taken for lost, and sent again and again."""
    said = [(delivery.envelope.headers.get("id"), refusal) for delivery, refusal in refused]
    named = [(id, refusal) for id, refusal in said if isinstance(id, str) and id == storable(id)]
    ids = {id for id, refusal in named if not isinstance(refusal, NotSigned)}
    rows = TaskResult.objects.using(conf.current().DATABASE)
    # A forged message says nothing of the task that it names: what the row has can be sent again.
    forged = [id for id, refusal in named if isinstance(refusal, NotSigned)]
    ids.update(row.id for row in rows.filter(id__in=forged) if not row.is_signed())
    if ids:
        rows.give_up_on(ids)


def _park_early(readable: Sequence[Readable], receiver: Receiver, worker: str) -> list[Readable]:
    """What is not due goes to where the future waits: a foreign sender leaves it to the worker to hold it."""
    if not any(message.eta for _, message, _ in readable):
        return list(readable)
    now = clock.database_now(connections[conf.current().DATABASE])
    early: list[Readable] = []
    due: list[Readable] = []
    unfit: list[tuple[Delivery, Exception]] = []
    for one in readable:
        if not one[1].eta or one[1].eta <= now:
            due.append(one)
        elif _can_be_parked(*one):
            early.append(one)
        else:
            unfit.append((one[0], DecodeError(TOO_LONG)))
    _refuse(unfit, receiver, worker)
    if early:
        rows = TaskResult.objects.using(conf.current().DATABASE)
        rows.insert_unknown(
            [TaskResult.of(m, delivery.envelope) for delivery, m, ignored in early if not ignored]
        )
        broker().publish([_parked(delivery, message) for delivery, message, _ in early])
        receiver.settle([delivery for delivery, _, _ in early])
    return due


def _can_be_parked(delivery: Delivery, message: TaskMessage, ignored: bool) -> bool:
    """Its sender did not ask the databases."""
    if not fits(payload.aside_text(delivery), connections[broker().alias]):
        return False
    database = connections[conf.current().DATABASE]
    return ignored or fits(TaskResult.of(message, delivery.envelope).message, database)


def _parked(delivery: Delivery, message: TaskMessage) -> Posting:
    return Posting(
        envelope=delivery.envelope, queue=delivery.queue, priority=message.priority, deliver_at=message.eta
    )


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


def _tracked(readable: Sequence[Readable]) -> dict[str, tuple[Delivery, TaskMessage]]:
    """Those with a row, by id; of two messages of one task that which asks for the later run."""
    tracked: dict[str, tuple[Delivery, TaskMessage]] = {}
    for delivery, message, ignored in readable:
        if not ignored and (message.id not in tracked or message.retries >= tracked[message.id][1].retries):
            tracked[message.id] = (delivery, message)
    return tracked


def _claim(
    tracked: Mapping[str, tuple[Delivery, TaskMessage]], owner: str, worker: str
) -> tuple[set[str], list[tuple[Delivery, Exception]]]:
    """The ids that are claimed; and what came without a row and is too large for one."""
    if not tracked:
        return set(), []
    rows = TaskResult.objects.using(conf.current().DATABASE)
    claimed = rows.claim(tracked.keys(), owner, {id: message.retries for id, (_, message) in tracked.items()})
    if len(claimed) == len(tracked):
        return claimed, []
    unclaimed = {id: tracked[id] for id in tracked.keys() - claimed}
    known = dict(rows.filter(id__in=list(unclaimed)).values_list("id", "status"))
    revoked = [id for id, status in known.items() if status == states.REVOKED]
    discarded = [Request(message=unclaimed[id][1], worker=worker) for id in revoked]
    _when_claimed(lambda: news.discarded(discarded))
    adopted, unfit = _adopt(rows, [unclaimed[id] for id in unclaimed.keys() - known.keys()], owner)
    return claimed | adopted, unfit


def _adopt(
    rows: TaskResultQuerySet, foreign: Sequence[tuple[Delivery, TaskMessage]], owner: str
) -> tuple[set[str], list[tuple[Delivery, Exception]]]:
    """Claim tasks that have no row because a foreign program sent them."""
    made = [(delivery, TaskResult.of(message, delivery.envelope)) for delivery, message in foreign]
    # Its sender did not ask the database.
    unfit = [delivery for delivery, row in made if not fits(row.message, connections[rows.db])]
    refused = set(map(id, unfit))
    return rows.adopt([row for delivery, row in made if id(delivery) not in refused], owner), [
        (delivery, DecodeError(TOO_LONG)) for delivery in unfit
    ]


def _without_expired(requests: Sequence[Request]) -> Admitted:
    """In database time, as everything that is due: a worker whose clock is off must not end what others would run."""
    admitted = Admitted()
    if not any(request.message.expires for request in requests):
        admitted.requests.extend(requests)
        return admitted
    now = clock.database_now(connections[conf.current().DATABASE])
    for request in requests:
        expires = request.message.expires
        if expires is not None and expires <= now:
            error = write_error(TaskRevokedError("expired"))
            admitted.revoked.append(Revoked(request=request, error=error, finished_at=now))
        else:
            admitted.requests.append(request)
    return admitted
