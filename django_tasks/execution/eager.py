"""Running a task where it is sent: for tests, and for `Task.apply`."""

from __future__ import annotations

import socket
from typing import Any

from django_tasks import conf, states
from django_tasks.dispatch.now import through_middleware
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import decode, encode
from django_tasks.message.serialization import name_of
from django_tasks.results.async_result import EagerResult
from django_tasks.results.store import Facts, Record

from .executor import execute
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
    Succeeded,
)


def run(message: TaskMessage, *, throw: bool | None = None) -> EagerResult[Any]:
    """Run a task as a worker would: through the serializer, run after run until it ends. Waits are left out.

    With `throw`, which is `TASK_EAGER_PROPAGATES` if not given, raises what the task failed with.
    """
    shown: list[Record] = []
    message = through_middleware(message)
    outcome = _run_once(message, shown)
    while isinstance(outcome, Retried):
        outcome = _run_once(outcome.message, shown)
    record = _record(message, outcome)
    result: EagerResult[Any] = EagerResult(record, _facts(message, outcome), tuple(shown))
    throw = conf.current().TASK_EAGER_PROPAGATES if throw is None else throw
    if throw and record.status in states.PROPAGATE_STATES:
        raise record.result
    return result


def _run_once(message: TaskMessage, shown: list[Record]) -> Outcome:
    def show(told: Reported) -> None:
        shown.append(Record(id=message.id, status=told.state, text=told.text))

    envelope = encode(message)
    arrived = decode(envelope, queue=message.queue, accept={name_of(envelope.content_type)})
    return execute(Request(message=arrived, worker=_worker()), is_eager=True, report=show)


def _worker() -> str:
    return f"eager@{socket.gethostname()}"


def _record(message: TaskMessage, outcome: Outcome) -> Record:
    match outcome:
        case Succeeded(result=text, finished_at=finished):
            return Record(id=message.id, status=states.SUCCESS, text=text, finished_at=finished)
        case Failed(error=text, traceback=traceback, finished_at=finished):
            return Record(
                id=message.id, status=states.FAILURE, text=text, traceback=traceback, finished_at=finished
            )
        case Ignored() | Rejected() | Retried() | Revoked() | Settled():
            # Rejected: there is no queue to go back to.
            status = states.REJECTED if isinstance(outcome, Rejected) else states.IGNORED
            return Record(id=message.id, status=status)


def _facts(message: TaskMessage, outcome: Outcome) -> Facts:
    return Facts(
        task=message.task,
        queue=message.queue,
        args=message.args,
        kwargs=message.kwargs,
        retries=outcome.request.message.retries,
        worker=_worker(),
        parent_id=message.parent_id,
        root_id=message.root_id,
    )
