"""Asking running workers, through the database: a row for each of them, which its housekeeper answers."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import Worker, WorkerCommand
from django_tasks.models.watch import ANSWERS, watch

#: Seconds after which whoever waits for answers looks by itself: a notice may be lost.
_LOOK_ANYWAY = 0.1


def tell(method: str, arguments: Mapping[str, Any], destination: Iterable[str] | None) -> int:
    """Have each living worker, or those of these names, do something; how many these are."""
    workers = _addressed(destination)
    _commands().ask([worker.id for worker in workers], method, arguments)
    return len(workers)


def ask(
    method: str, arguments: Mapping[str, Any], destination: Iterable[str] | None, *, timeout: float
) -> dict[str, Any]:
    """What they answer within `timeout` seconds, by their names. As soon as all have answered it is back.

    Workers of one name are told apart by the beginning of their id: in containers all may have the same process id.
    """
    workers = _addressed(destination)
    if not workers:
        return {}
    _check_committed()
    connection = connections[conf.current().DATABASE]
    with contextlib.closing(watch(connection, ANSWERS)) as notices:
        ids = _commands().ask([worker.id for worker in workers], method, arguments)
        ends = clock.monotonic() + timeout
        answers = _commands().answers(ids)
        while len(answers) < len(ids) and (left := ends - clock.monotonic()) > 0:
            notices.wait(min(left, _LOOK_ANYWAY))
            answers = _commands().answers(ids)
    names = _names(workers)
    return {names[worker.id]: answers[worker.id] for worker in workers if worker.id in answers}


def _commands() -> Any:
    return WorkerCommand.objects.using(conf.current().DATABASE)


def _addressed(destination: Iterable[str] | None) -> list[Worker]:
    rows = Worker.objects.using(conf.current().DATABASE)
    names = [destination] if isinstance(destination, str) else destination
    now = clock.to_storage(clock.database_now(connections[rows.db]))
    return rows.addressed(None if names is None else set(names), now)


def _check_committed() -> None:
    connection = connections[conf.current().DATABASE]
    if connection.in_atomic_block or not connection.get_autocommit():
        raise RuntimeError(
            "Workers hear of a question when this transaction commits, so inside of it nobody can wait for their "
            "answers. Ask after the transaction.atomic() block."
        )


def _names(workers: Sequence[Worker]) -> dict[str, str]:
    """What each is called in an answer, by its id."""
    counts = Counter(worker.name for worker in workers)
    return {
        worker.id: worker.name if counts[worker.name] == 1 else f"{worker.name}#{worker.id[:8]}"
        for worker in workers
    }
