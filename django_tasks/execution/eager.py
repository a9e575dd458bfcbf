"""Running tasks where they are sent: for tests, and for `apply`. What follows from them runs here as well."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from django_tasks import conf, states
from django_tasks.canvas.freezing import Handle
from django_tasks.canvas.layout import Part
from django_tasks.dispatch.now import through_middleware
from django_tasks.message.group import NewGroup
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import decode, encode
from django_tasks.message.serialization import name_of
from django_tasks.results.async_result import AsyncResult, EagerResult
from django_tasks.results.result_set import GroupResult
from django_tasks.results.store import Facts, Record

from . import errbacks
from .executor import execute
from .following import Complete, Ended, Member, follow, has_following
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
    """Run a task as a worker would: through the serializer, run after run until it ends, and then what follows from it.

    Waits are left out. With `throw`, which is `TASK_EAGER_PROPAGATES` if not given, raises what the task failed with.
    """
    here = Here()
    here.send([message])
    here.run()
    result = here.results[message.id]
    _throw(result, throw)
    return result


def run_workflow(parts: Iterable[Part], handle: Handle, *, throw: bool | None = None) -> Handle:
    """Run a workflow so, and return the handle with all results in it."""
    here = Here()
    here.send(list(parts))
    here.run()
    known = here.known(handle)
    _throw(known, throw)
    return known


def _throw(handle: Handle, throw: bool | None) -> None:
    if conf.current().TASK_EAGER_PROPAGATES if throw is None else throw:
        handle.get(disable_sync_subtasks=False)


class Here:
    """One run of tasks and of all that follows from them: a ledger in memory."""

    def __init__(self) -> None:
        self.waiting: deque[TaskMessage] = deque()
        self.results: dict[str, EagerResult[Any]] = {}
        self.groups: dict[str, NewGroup] = {}
        #: Of each group, the tasks that have ended.
        self.ended: dict[str, list[Ended]] = {}

    def run(self) -> None:
        while self.waiting:
            self.run_task(self.waiting.popleft())

    def run_task(self, message: TaskMessage) -> None:
        shown: list[Record] = []
        outcome = _run_once(message, shown)
        while isinstance(outcome, Retried):
            outcome = _run_once(outcome.message, shown)
        record = _record(message, outcome)
        self.results[message.id] = EagerResult(record, _facts(message, outcome), tuple(shown))
        if has_following(message):
            follow([Ended(message=message, status=record.status, text=record.text)], self)

    def known(self, handle: Handle) -> Handle:
        """The handle with what is known now in the place of ids."""
        if isinstance(handle, GroupResult):
            parent = handle.parent and self.known(handle.parent)
            return GroupResult(handle.id, [self.known(member) for member in handle.results], parent=parent)
        found: AsyncResult[Any] = self.results.get(handle.id, handle)
        if handle.known_parent is not None:
            found.known_parent = self.known(handle.known_parent)
        return found

    # -- the ledger

    def send(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, NewGroup):
                self.groups[part.id] = part
            else:
                message = through_middleware(part)
                encode(message)  # what cannot be written is refused here, as it would be by `delay`
                self.waiting.append(message)

    def end(self, ended: Sequence[Ended]) -> list[Ended]:
        new = [one for one in ended if one.message.id not in self.results]
        for one in new:
            record = Record(id=one.message.id, status=one.status, text=one.text)
            self.results[one.message.id] = EagerResult(record, _facts(one.message))
        return new

    def count(self, ended: Sequence[Ended]) -> list[Complete]:
        complete = []
        for one in ended:
            group = self.groups.get(one.message.group or "")
            if group is None:
                continue
            over = self.ended.setdefault(group.id, [])
            over.append(one)
            if len(over) == group.total:
                complete.append(Complete(id=group.id, total=group.total, body=group.body))
        return complete

    def members(self, group_id: str) -> list[Member]:
        over = sorted(self.ended[group_id], key=lambda one: one.message.group_index or 0)
        return [Member(id=one.message.id, status=one.status, text=one.text) for one in over]

    def call_errbacks(self, one: Ended) -> None:
        errbacks.call_all(one.message, Record(id=one.message.id, status=one.status, text=one.text).result)


def _run_once(message: TaskMessage, shown: list[Record]) -> Outcome:
    def show(told: Reported) -> None:
        shown.append(Record(id=message.id, status=told.state, text=told.text))

    envelope = encode(message)
    arrived = decode(
        envelope,
        queue=message.queue,
        exchange=message.exchange,
        routing_key=message.routing_key,
        accept={name_of(envelope.content_type)},
    )
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


def _facts(message: TaskMessage, outcome: Outcome | None = None) -> Facts:
    return Facts(
        task=message.task,
        queue=message.queue,
        args=message.args,
        kwargs=message.kwargs,
        retries=message.retries if outcome is None else outcome.request.message.retries,
        worker=_worker(),
        parent_id=message.parent_id,
        root_id=message.root_id,
    )
