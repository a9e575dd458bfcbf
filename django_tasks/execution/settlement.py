"""Recording what came of tasks, and what follows from it: many at once, in one transaction, fenced by the claim."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from django.db import connections, transaction

from django_tasks import clock, conf, registry, states
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import NotRegistered, TaskRevokedError
from django_tasks.message.errors import write_error
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.saferepr import storable
from django_tasks.models import TaskAttempt, TaskResult
from django_tasks.models.result import Change, TaskResultQuerySet
from django_tasks.models.watch import ENDINGS, announce
from django_tasks.results.handler import put, store_of
from django_tasks.results.store import Record, ResultStore

from . import news
from .answers import answer
from .attempts import attempts_of, names, note
from .ends import follow_ends
from .outcome import (
    Failed,
    Ignored,
    Outcome,
    Rejected,
    Reported,
    Request,
    Retried,
    Revoked,
    Settled,
    Started,
    Succeeded,
)
from .report import report_failures

logger = logging.getLogger("django_tasks.worker")


_NO_ATTEMPTS: Mapping[str, TaskAttempt] = MappingProxyType({})

#: What happens to a task while it runs or at its end.
Event = Outcome | Started | Reported


def settle(outcomes: Sequence[Event], owner: str) -> list[Event]:
    """Write outcomes of `owner`'s tasks, and answer those that stand.

    Those of tasks it no longer owns are dropped with a line in the log.
    """
    outcomes = [outcome for outcome in outcomes if not isinstance(outcome, Settled)]
    if not outcomes:
        return []
    with transaction.atomic(using=conf.current().DATABASE, savepoint=False):
        outcomes = _whole(outcomes)
        attempts = attempts_of(outcomes)
        stands = _record(outcomes, owner, attempts)
        stored = _store_ignored_failures([one for one in stands if isinstance(one, Failed)], attempts)
        _note([one for one in stands if one.request.tracked] + stored, attempts)
        _send_again([outcome for outcome in stands if isinstance(outcome, Retried)])
        _give_back([outcome for outcome in stands if isinstance(outcome, Rejected)], owner)
        follow_ends(stands)
        answer(
            (outcome.request.message, _ending(_change(outcome, owner)))
            for outcome in stands
            if isinstance(outcome, Succeeded | Failed | Revoked)
            and outcome.request.tracked
            and outcome.request.message.reply_to
        )
    return stands


def _whole(outcomes: Sequence[Event]) -> Sequence[Event]:
    """With their messages: of what a process left when it died, only the id is known here."""
    if not (nameless := [one.request.message.id for one in outcomes if not one.request.message.task]):
        return outcomes
    orders = {row.id: row.to_message() for row in _rows().filter(id__in=nameless)}
    return [
        dataclasses.replace(
            one,
            request=dataclasses.replace(
                one.request, message=orders.get(one.request.message.id, one.request.message)
            ),
        )
        for one in outcomes
    ]


def _record(outcomes: Sequence[Event], owner: str, attempts: Mapping[str, TaskAttempt]) -> list[Event]:
    """Write the rows, and answer the outcomes that stand: untracked ones, and those whose row was still ours."""
    written = [
        outcome for outcome in outcomes if outcome.request.tracked and not isinstance(outcome, Rejected)
    ]
    changes = [_change(outcome, owner, attempts) for outcome in written]
    stores = _stores(written)
    recorded = _rows().record(_as_rows_keep(changes, stores), owner)
    put([_ending(change) for change in changes if change.finished_at and change.id in recorded], stores)
    if changes:
        announce(connections[conf.current().DATABASE], ENDINGS)
    for change in changes:
        # That a task has started may well be said too late: an atomic one ends without asking us.
        if change.id not in recorded and change.owner is None:
            logger.warning("%s of task %s came too late: it is not ours any more", change.status, change.id)
    late = {id(outcome) for outcome in written if outcome.request.message.id not in recorded}
    return [outcome for outcome in outcomes if id(outcome) not in late]


def _stores(outcomes: Sequence[Event]) -> dict[str, ResultStore]:
    """The store of each task, by its id."""
    tasks = {outcome.request.message.id: outcome.request.message.task for outcome in outcomes}
    stores = {task: store_of(task) for task in set(tasks.values())}
    return {id: stores[task] for id, task in tasks.items()}


def _as_rows_keep(changes: Sequence[Change], stores: Mapping[str, ResultStore]) -> Sequence[Change]:
    """Without what tasks returned, where their stores say so."""
    return [
        dataclasses.replace(change, result=None)
        if change.status == states.SUCCESS and not stores[change.id].rows_keep_results
        else change
        for change in changes
    ]


def _ending(change: Change) -> Record:
    return Record(
        id=change.id,
        status=change.status,
        text=change.result,
        traceback=change.traceback,
        finished_at=change.finished_at,
    )


def _change(outcome: Event, owner: str, attempts: Mapping[str, TaskAttempt] = _NO_ATTEMPTS) -> Change:
    task_id, worker = outcome.request.message.id, outcome.request.worker
    change = partial(Change, id=task_id, worker=worker)
    match outcome:
        case Started(started_at=started):
            # What `AsyncResult.info` has then (FEATURES OPT-08).
            info = json.dumps({"pid": os.getpid(), "hostname": worker})
            return change(status=states.STARTED, owner=owner, result=info, started_at=started)
        case Reported(state=state, text=info, started_at=started):
            return change(status=state, owner=owner, result=info, started_at=started)
        case Succeeded(result=result, started_at=started, finished_at=finished):
            return change(status=states.SUCCESS, result=result, started_at=started, finished_at=finished)
        case Failed(error=error, traceback=text, started_at=started, finished_at=finished):
            return change(
                status=states.FAILURE,
                result=error,
                traceback=text,
                started_at=started,
                finished_at=finished,
                fingerprint=attempts[task_id].fingerprint if attempts else None,
            )
        case Retried(error=error, traceback=text, started_at=started):
            return change(status=states.RETRY, result=error, traceback=text, started_at=started)
        case Ignored(finished_at=finished):
            return change(status=states.IGNORED, finished_at=finished)
        case Revoked(error=error, finished_at=finished):
            return change(status=states.REVOKED, result=error, finished_at=finished)
        case Rejected() | Settled():
            raise TypeError(f"There is nothing to record of {outcome!r}.")


def _store_ignored_failures(failed: Sequence[Failed], attempts: Mapping[str, TaskAttempt]) -> list[Event]:
    """Make rows for failures of tasks that have none, if their tasks want that (FEATURES OPT-13); which these are."""
    untracked = [outcome for outcome in failed if not outcome.request.tracked]
    if wanted := [outcome for outcome in untracked if _stores_errors(outcome.request.message.task)]:
        # It may have failed before, in a run whose message was not settled.
        rows = [_failure(outcome, attempts) for outcome in wanted]
        _rows().bulk_create(rows, ignore_conflicts=True)
        put([_ending(_change(outcome, "")) for outcome in wanted], _stores(wanted))
        announce(connections[conf.current().DATABASE], ENDINGS)
    return list(wanted)


def _note(ended: Sequence[Event], attempts: Mapping[str, TaskAttempt]) -> None:
    """Keep what is to be known of runs that did not simply succeed."""
    if not attempts:
        return
    messages = [one.request.message for one in ended if one.request.message.id in attempts]
    note([attempts[message.id] for message in messages], names(messages))


def _stores_errors(name: str) -> bool:
    try:
        said = registry.find(name).store_errors_even_if_ignored
    except NotRegistered:
        said = None
    return conf.current().TASK_STORE_ERRORS_EVEN_IF_IGNORED if said is None else said


def _failure(outcome: Failed, attempts: Mapping[str, TaskAttempt]) -> TaskResult:
    message = outcome.request.message
    row = TaskResult.of(message, encode(message))
    row.status, row.result, row.worker = states.FAILURE, outcome.error, outcome.request.worker
    row.traceback = outcome.traceback and storable(outcome.traceback)
    row.retries, row.fingerprint = message.retries, attempts[message.id].fingerprint
    row.started_at = outcome.started_at and clock.to_storage(outcome.started_at)
    row.finished_at = clock.to_storage(outcome.finished_at)
    return row


def _send_again(retried: Sequence[Retried]) -> None:
    """Park the next runs until they are due; from now on the rows are orders for these."""
    if not retried:
        return
    orders = [(outcome.message, encode(outcome.message)) for outcome in retried]
    _rows().reorder(
        {
            outcome.request.message.id: (envelope.to_text(), message.retries, message.eta)
            for outcome, (message, envelope) in zip(retried, orders, strict=True)
            if outcome.request.tracked
        }
    )
    broker().publish([_posting_of(message, envelope) for message, envelope in orders])


def _posting_of(message: TaskMessage, envelope: Envelope) -> Posting:
    return Posting(envelope=envelope, queue=message.queue, priority=message.priority, deliver_at=message.eta)


def _give_back(rejected: Sequence[Rejected], owner: str) -> None:
    hand_back([outcome.request.message.id for outcome in rejected if outcome.request.tracked], owner)
    untracked = [outcome.request.message for outcome in rejected if not outcome.request.tracked]
    if untracked:
        broker().publish([_posting_of(message, encode(message)) for message in untracked])


def hand_back(ids: Collection[str], owner: str, due: Mapping[str, dt.datetime] | None = None) -> int:
    """Put tasks that `owner` claimed and does not run back into their queues, in their old place; how many.

    Those with a moment in `due` are parked until then.
    """
    if not ids:
        return 0
    with transaction.atomic(using=conf.current().DATABASE):
        owned = _rows().locked_owned(ids, owner)
        # What somebody asked to stop while it was claimed is not offered again.
        _stop([row for row in owned if row.terminate], owner)
        latest = max(due.values(), default=None) if due else None
        rows = _rows().release([row.id for row in owned if not row.terminate], owner, latest)
        broker().publish([posting_of_row(row, (due or {}).get(row.id)) for row in rows])
    return len(owned)


def _stop(rows: Sequence[TaskResult], owner: str) -> None:
    """End tasks that were asked to stop and do not run. Whoever does this may be no place for user code."""
    if not rows:
        return
    requests = [Request(message=row.to_message(), worker=row.worker) for row in rows]
    settle([terminated(request) for request in requests], owner)
    report_failures([row.id for row in rows])
    transaction.on_commit(partial(news.stopped, requests), using=conf.current().DATABASE)


def terminated(request: Request) -> Revoked:
    """The end of a task that somebody stopped with `revoke(terminate=True)`."""
    return Revoked(
        request=request, error=write_error(TaskRevokedError("terminated")), finished_at=clock.now()
    )


def posting_of_row(row: TaskResult, due: dt.datetime | None = None) -> Posting:
    """The message of a task that waits, made anew, in its old place."""
    return Posting(
        envelope=Envelope.from_text(row.message),
        queue=row.queue,
        priority=row.priority,
        sent_at=clock.from_storage(row.created_at),
        deliver_at=due,
    )


def _rows() -> TaskResultQuerySet:
    return TaskResult.objects.using(conf.current().DATABASE)
