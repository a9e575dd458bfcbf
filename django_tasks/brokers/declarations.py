"""What `TASK_QUEUES` says, in the forms Celery has for it, as values.

Names, `kombu.Queue` objects, both in one list, or a mapping of names to what Celery 3 took in `CELERY_QUEUES`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import kombu
from kombu.transport.base import to_rabbitmq_queue_arguments

from django_tasks import conf

WHERE = f"{conf.NAME}['TASK_QUEUES']"
#: Of a queue: what every broker takes for a name, and no shell, terminal or key pattern for something else.
VALID_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
NAMING = "use letters, digits and _ . : - only, at most 100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A way into a queue: an exchange, and the routing keys that it lets through."""

    exchange: str
    type: str = "direct"
    key: str = ""

    def takes(self, routing_key: str) -> bool:
        if self.type == "topic":
            return _fit(_words(self.key), _words(routing_key))
        return self.type == "fanout" or self.key == routing_key


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _fit(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """`*` is one word and `#` any number of them, none as well: so RabbitMQ has it."""
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_fit(rest, words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _fit(rest, words[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One of the project's queues."""

    name: str
    #: A queue of which only the name was said is bound to an exchange of that name, as Celery does it.
    bindings: tuple[Binding, ...]
    #: What it is declared with, where that means something: `x-max-priority`, `x-queue-type` and the like.
    arguments: Mapping[str, Any] = field(default_factory=dict)
    durable: bool = True
    declaration: kombu.Queue = field(repr=False, compare=False)

    def to_kombu(self) -> kombu.Queue:
        """A copy of its declaration, to be bound to a channel and declared there."""
        return copy.copy(self.declaration)


def read(settings: conf.Settings) -> tuple[dict[str, Queue], list[str]]:
    """The queues by name, the default one first, and what is wrong with the entries, one sentence each."""
    default = settings.TASK_DEFAULT_QUEUE
    found = {default: _queue(kombu.Queue(default))}
    problems: list[str] = []
    for name, said in _entries(settings.TASK_QUEUES):
        wrong = list(_misfits(name, said))
        if not wrong:
            declaration = said if isinstance(said, kombu.Queue) else _declaration(name, said or {})
            wrong = list(_contradictions(declaration))
        if not wrong:
            found[name] = _queue(declaration)
        problems += wrong
    return found, problems + list(_conflicts(list(found.values())))


def _entries(queues: Mapping[Any, Any] | Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Each name with what is said of it. A `kombu.Queue` knows its name."""
    pairs = queues.items() if isinstance(queues, Mapping) else ((entry, None) for entry in queues)
    for name, said in pairs:
        queue = name if isinstance(name, kombu.Queue) else said
        yield (queue.name, queue) if isinstance(queue, kombu.Queue) else (name, said)


TYPES = ("direct", "topic", "fanout")
#: What a mapping may say of a queue.
KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "exchange": (str, "a name"),
    "exchange_type": (str, "a string"),
    "exchange_arguments": (Mapping, "a mapping"),
    "routing_key": (str, "a string"),
    "binding_key": (str, "a string"),
    "binding_arguments": (Mapping, "a mapping"),
    "queue_arguments": (Mapping, "a mapping"),
    "consumer_arguments": (Mapping, "a mapping"),
    "durable": (bool, "True or False"),
    "expires": ((int, float), "a number of seconds"),
    "message_ttl": ((int, float), "a number of seconds"),
    "max_length": (int, "a whole number"),
    "max_length_bytes": (int, "a whole number"),
    "max_priority": (int, "a whole number"),
}
_OF_THE_QUEUE = KEYS.keys() - {
    *("exchange", "exchange_type", "exchange_arguments", "routing_key", "binding_key")
}


def _misfits(name: Any, said: Any) -> Iterator[str]:
    """What is wrong with an entry, so that no queue can be made of it."""
    if not isinstance(name, str):
        yield f"{WHERE} has {name!r}, which is no queue. Write its name, or a kombu.Queue."
    elif isinstance(said, Mapping):
        for key, value in said.items():
            kind, words = KEYS.get(key, (object, ""))
            if key not in KEYS:
                yield f"{WHERE}: queue {name!r} has {key!r}, which says nothing.{conf.guess(str(key), KEYS)}"
            elif value is not None and (not isinstance(value, kind) or (value is True and kind is not bool)):
                yield f"{WHERE}: {key} of queue {name!r} must be {words}, not {value!r}."
    elif said is not None and not isinstance(said, kombu.Queue):
        yield (
            f"{WHERE} says {said!r} of queue {name!r}. Write a mapping such as "
            "{'exchange': ..., 'routing_key': ...}, or None."
        )


def _declaration(name: str, said: Mapping[str, Any]) -> kombu.Queue:
    exchange = kombu.Exchange(
        said.get("exchange") or "",
        type=said.get("exchange_type") or "direct",
        arguments=said.get("exchange_arguments"),
        durable=said.get("durable"),
    )
    key = said.get("binding_key") or said.get("routing_key") or ""
    return kombu.Queue(name, exchange, key, **{key: said[key] for key in _OF_THE_QUEUE & said.keys()})


def _contradictions(queue: kombu.Queue) -> Iterator[str]:
    """What is wrong with a declaration: what no broker takes, and what nobody could work with."""
    where = f"{WHERE}: queue {queue.name!r}"
    if not queue.bindings and not _names_an_exchange(queue):
        if queue.routing_key and queue.routing_key != queue.name:
            yield f"{where} has the routing_key {queue.routing_key!r} and no exchange. Name the one to bind it to."
        elif queue.exchange and queue.exchange.type != "direct":
            yield f"{where} has the exchange_type {queue.exchange.type!r} and no exchange. Name the one it is of."
    for exchange, _ in _ways_in(queue):
        if exchange.type not in TYPES:
            yield (
                f"{where} has the exchange {exchange.name!r} of type {exchange.type!r}. "
                f"Make it one of {', '.join(TYPES)}.{conf.guess(str(exchange.type), TYPES)}"
            )
    if queue.exclusive or queue.no_ack:
        yield f"{where} is exclusive or no_ack: a worker's processes share it and settle. Leave that out."
    arguments = _arguments(queue)
    if arguments.get("x-queue-type") == "quorum" and ("x-max-priority" in arguments or not queue.durable):
        yield f"{where} is a quorum queue: these are durable and have no max_priority. Leave one of them out."


def _names_an_exchange(queue: kombu.Queue) -> bool:
    return bool(queue.exchange and queue.exchange.name)


def _ways_in(queue: kombu.Queue) -> list[tuple[kombu.Exchange, str]]:
    """Exchanges and the keys they let through. kombu keeps several as a set."""
    several = [
        (binding.exchange, binding.routing_key or "") for binding in queue.bindings if binding.exchange
    ]
    if several:
        return sorted(several, key=lambda way: (way[0].name, way[1]))
    return [(queue.exchange, queue.routing_key)] if _names_an_exchange(queue) else []


def _arguments(queue: kombu.Queue) -> dict[str, Any]:
    """As RabbitMQ is told them."""
    named = ("expires", "message_ttl", "max_length", "max_length_bytes", "max_priority")
    said = {name: getattr(queue, name) for name in named}
    return dict(to_rabbitmq_queue_arguments(dict(queue.queue_arguments or {}), **said))


def _queue(declaration: kombu.Queue) -> Queue:
    made = copy.copy(declaration)
    if not made.bindings:
        made.routing_key = made.routing_key or made.name
        if not _names_an_exchange(made):
            made.exchange = kombu.Exchange(made.name)
    ways = [Binding(exchange=to.name, type=to.type, key=key) for to, key in _ways_in(made)]
    return Queue(
        name=made.name,
        bindings=tuple(ways),
        arguments=_arguments(made),
        durable=made.durable,
        declaration=made,
    )


def _conflicts(queues: Sequence[Queue]) -> Iterator[str]:
    """An exchange is one thing for all, and a broker refuses the second of two declarations that differ."""
    declared: dict[str, tuple[str, tuple[Any, ...]]] = {}
    for queue in queues:
        for exchange, _ in _ways_in(queue.declaration):
            said = (exchange.type, exchange.durable, exchange.auto_delete, exchange.arguments or {})
            first, before = declared.setdefault(exchange.name, (queue.name, said))
            if said != before:
                yield (
                    f"{WHERE}: exchange {exchange.name!r} is {before[0]} for queue {first!r} and {said[0]} for "
                    f"{queue.name!r}, or they differ in durable or arguments. Declare it in one way."
                )
