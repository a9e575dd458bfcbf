"""What is wanted of one worker now, in a single question: each worker asks it about once a second."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import CharField, QuerySet, Value

from django_tasks import clock

from .command import WorkerCommand
from .pause import QueuePause
from .result import TaskResult

_PAUSED, _TERMINATE, _COMMAND = "paused", "terminate", "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    #: The queues that are paused, whoever serves them.
    paused: frozenset[str]
    #: The tasks it runs that are to be stopped.
    terminate: frozenset[str]
    #: Is there a command that it has not answered?
    has_commands: bool


def wanted(alias: str, worker_id: str, owners: Collection[str]) -> Wanted:
    """`owners`: the task processes of that worker that run something."""
    now = clock.to_storage(clock.database_now(connections[alias]))
    rows = _as(_PAUSED, QueuePause.objects.using(alias).in_force(now), "queue")
    others = [_as(_COMMAND, WorkerCommand.objects.using(alias).asked_of(worker_id).order_by(), "method")]
    if owners:
        others.append(_as(_TERMINATE, TaskResult.objects.using(alias).asked_to_stop(owners), "id"))
    found: dict[str, set[str]] = {_PAUSED: set(), _TERMINATE: set(), _COMMAND: set()}
    for name, kind in rows.union(*others, all=True):
        found[kind].add(name)
    return Wanted(
        paused=frozenset(found[_PAUSED]),
        terminate=frozenset(found[_TERMINATE]),
        has_commands=bool(found[_COMMAND]),
    )


def _as(kind: str, rows: QuerySet[Any], column: str) -> QuerySet[Any, Any]:
    found: QuerySet[Any, Any]
    found = rows.annotate(kind=Value(kind, output_field=CharField())).values_list(column, "kind")
    return found
