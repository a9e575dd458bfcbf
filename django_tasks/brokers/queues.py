"""Which queues there are. A message goes to a declared queue or nowhere: what nobody consumes would wait unseen."""

from __future__ import annotations

import re

from django_tasks import conf
from django_tasks.exceptions import UnknownQueue

VALID_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def declared() -> tuple[str, ...]:
    """The project's queues, the default one first."""
    settings = conf.current()
    return tuple(dict.fromkeys((settings.TASK_DEFAULT_QUEUE, *settings.TASK_QUEUES)))


def check(queue: str, *, because: str = "") -> str:
    """`queue` if it is declared; raises `UnknownQueue` with what to do if not. `because` says how it came up."""
    known = declared()
    if queue in known:
        return queue
    raise UnknownQueue(
        f"No queue {queue!r} is declared{because}.{conf.guess(str(queue), known)} "
        f'Add it to DJANGO_TASKS["TASK_QUEUES"], or use one of: {", ".join(known)}.'
    )


def addressed(queue: str | None, exchange: str | None, routing_key: str | None) -> str | None:
    """The queue that an address of AMQP means, or `None` if it leaves that open.

    As in Celery a queue goes before the other two, and without one the default exchange delivers by the queue's name.
    Raises `ValueError` for another exchange: there are none that the project has declared.
    """
    if queue or not exchange or exchange == routing_key:
        return queue or routing_key
    raise ValueError(
        f"exchange={exchange!r} does not say which queue: messages are delivered by the name of a queue only. "
        f"Leave it out, and write queue=... with one of: {', '.join(declared())}."
    )


def problems() -> list[str]:
    """What is wrong with the declared names, one sentence each."""
    names = declared()
    invalid = [
        f"{name!r} is no name for a queue: use letters, digits and _ . : - only, at most 100."
        for name in names
        if not VALID_NAME.fullmatch(name)
    ]
    by_letters: dict[str, list[str]] = {}
    for name in names:
        by_letters.setdefault(name.lower(), []).append(name)
    # Databases may compare text so, MariaDB by default: one consumer would be given the other's messages.
    alike = [
        f"Queues {' and '.join(map(repr, some))} differ only in case: rename one."
        for some in by_letters.values()
        if len(some) > 1
    ]
    return invalid + alike
