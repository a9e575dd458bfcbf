"""Which queues there are. A message goes to a declared queue or nowhere: what nobody consumes would wait unseen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import kombu
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_tasks import conf
from django_tasks.exceptions import UnknownQueue, Unroutable

from . import declarations
from .declarations import NAMING, VALID_NAME, Binding, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a message goes: to a queue, or through an exchange to all that the routing key reaches."""

    #: The first one that it reaches.
    queue: str
    exchange: str = ""
    #: Means something to an exchange only.
    routing_key: str = ""


def declared() -> tuple[str, ...]:
    """The names of the project's queues, the default one first."""
    return tuple(_declared())


@cache
def _declared() -> dict[str, Queue]:
    found, wrong = _read()
    if wrong:
        raise ImproperlyConfigured(" ".join(wrong))
    return found


def _forget(*, setting: str, **_: Any) -> None:
    if setting == conf.NAME:
        _declared.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.brokers.queues")


def find(queue: str) -> Queue:
    """What is declared under this name; raises `UnknownQueue`."""
    return _declared()[check(queue)]


def to_kombu(queue: str) -> kombu.Queue:
    """The queue as kombu declares it, with its exchange and bindings: as Celery does, given the same settings."""
    return find(queue).to_kombu()


def check(queue: str, *, because: str = "") -> str:
    """`queue` if it is declared; raises `UnknownQueue` with what to do if not. `because` says how it came up."""
    known = _declared()
    if queue in known:
        return queue
    raise UnknownQueue(
        f"No queue {queue!r} is declared{because}.{conf.guess(str(queue), known)} "
        f'Add it to DJANGO_TASKS["TASK_QUEUES"], or use one of: {", ".join(known)}.'
    )


def addressed(
    queue: str | None, exchange: str | None, routing_key: str | None, *, because: str = ""
) -> Address | None:
    """Where an address of AMQP leads, or `None` if it leaves that open.

    A queue goes before the other two, and without an exchange the routing key is a queue's name.
    Raises `UnknownQueue`, or `Unroutable` for an exchange that reaches none.
    """
    if queue or not exchange:
        name = queue or routing_key
        return Address(queue=check(name, because=because)) if name else None
    check_exchange(exchange, because=because)
    key = routing_key or ""
    queues = reached(exchange, key)
    if not queues:
        keys = [binding.key for binding in _bindings(exchange)]
        raise Unroutable(
            f"Exchange {exchange!r} has no queue for routing_key={key!r}{because}.{conf.guess(key, keys)} Its queues "
            f'are bound by: {", ".join(keys)}. Use such a key, or add a binding to DJANGO_TASKS["TASK_QUEUES"].'
        )
    if queues == (key,):  # needs no exchange
        return Address(queue=key)
    return Address(queue=queues[0], exchange=exchange, routing_key=key)


def check_exchange(exchange: str, *, because: str = "") -> None:
    """Raises `Unroutable` if no declared queue is bound to it."""
    if not _bindings(exchange):
        known = {binding.exchange for queue in _declared().values() for binding in queue.bindings}
        raise Unroutable(
            f"No exchange {exchange!r} is declared{because}.{conf.guess(exchange, known)} Bind a queue to it in "
            'DJANGO_TASKS["TASK_QUEUES"], or leave it out and write queue=... with one of: '
            f"{', '.join(declared())}."
        )


def _bindings(exchange: str) -> list[Binding]:
    return [
        binding
        for queue in _declared().values()
        for binding in queue.bindings
        if binding.exchange == exchange
    ]


def reached(exchange: str, routing_key: str) -> tuple[str, ...]:
    """The declared queues into which an exchange puts what has this key."""
    return tuple(
        queue.name
        for queue in _declared().values()
        if any(binding.exchange == exchange and binding.takes(routing_key) for binding in queue.bindings)
    )


def problems() -> list[str]:
    """What is wrong with the declared queues, one sentence each."""
    return _read()[1]


def _read() -> tuple[dict[str, Queue], list[str]]:
    found, wrong = declarations.read(conf.current())
    return found, wrong + _bad_names(list(found))


def _bad_names(names: list[str]) -> list[str]:
    invalid = [
        f"{name!r} is no name for a queue: {NAMING}." for name in names if not VALID_NAME.fullmatch(name)
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
