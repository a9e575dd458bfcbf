"""The order: from a task, arguments and options of a call to the messages that travel.

What a call says goes before what the task says, and that before the settings: a route first, then the defaults.
Whatever is wrong with a call is raised here, before anything is sent.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Any, cast

from django_tasks import clock, conf, registry
from django_tasks.brokers import queues, routes
from django_tasks.canvas.fields import listed
from django_tasks.canvas.maps import MAP, STARMAP
from django_tasks.exceptions import NotRegistered
from django_tasks.handlers import later
from django_tasks.message import compression
from django_tasks.message.asked import subject_of
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import RESERVED
from django_tasks.message.retry_policy import asked_for
from django_tasks.message.saferepr import MASK, is_secret, saferepr
from django_tasks.message.task_id import new_task_id
from django_tasks.requests import asked

from .options import CALL_KINDS, TASK_KINDS, CallOptions, TaskOptions, check_call, check_limits
from .request import sender

# Both need models; the public API is importable before there are any.
send = later("django_tasks.dispatch.now.send")
send_on_commit = later("django_tasks.dispatch.on_commit.send_on_commit")
sending_over = later("django_tasks.brokers.pool.sending_over")
publisher = later("django_tasks.brokers.pool.publisher")
#: And this needs what runs tasks, which stands above us.
run_here = later("django_tasks.execution.eager.run")


class Order:
    """All that the messages of one call have in common; `message` adds the arguments."""

    __slots__ = ("_common", "_parent", "_redact", "_routed", "_task_id")

    def __init__(self, task: str, said: TaskOptions, options: CallOptions) -> None:
        """`task` is the name; `said` the options of the task, or plain `TaskOptions()` for an unknown one."""
        settings = conf.current()
        if options:
            check_call(options)
        self._parent = sender()
        self._redact = (*settings.REDACT, *said.redact) if said.redact else settings.REDACT
        self._task_id = options.get("task_id")
        self._routed = partial(_routed, task, said, options) if settings.TASK_ROUTES else None
        self._common: dict[str, Any] = {
            "task": task,
            **self._address(said, options, settings.TASK_DEFAULT_QUEUE),
            "priority": _first(options.get("priority"), said.priority, 0),
            "serializer": options.get("serializer") or said.serializer or settings.TASK_SERIALIZER,
            "compression": _compression(said, options, settings.TASK_COMPRESSION),
            "ignore_result": _ignore_result(task, said, options, settings.TASK_IGNORE_RESULT),
            "expires": _moment(_first(options.get("expires"), said.expires, None), "expires"),
            "time_limit": _first(options.get("time_limit"), said.time_limit, None),
            "soft_time_limit": _first(options.get("soft_time_limit"), said.soft_time_limit, None),
            "parent_id": self._parent.id if self._parent else None,
            "origin": _origin(os.getpid()),
            "mandatory": _first(options.get("mandatory"), said.mandatory, False),
            "asked": self._parent._message.asked if self._parent else asked(),
        }
        check_limits(self._common["time_limit"], self._common["soft_time_limit"], task)
        if options:
            self._common |= {
                "eta": _eta(options.get("countdown"), options.get("eta")),
                "headers": _headers(options.get("headers")),
                "shadow": options.get("shadow"),
                "reply_to": options.get("reply_to") or "",
                "subject": subject_of(options.get("subject")),
                "callbacks": tuple(listed(options.get("link"))) or None,
                "errbacks": tuple(listed(options.get("link_error"))) or None,
                "retry_policy": asked_for(options.get("retry"), options.get("retry_policy")),
            }

    def _address(self, said: TaskOptions, options: CallOptions, otherwise: str) -> dict[str, Any]:
        """Where the call or the task asks for it to go; with routes, which may know better, only by a queue's name."""
        queue = options.get("queue") or said.queue
        is_open = not (queue or self._routed) and (options or said.routing_key or said.exchange)
        address = queues.addressed(None, *_way(said, options)) if is_open else None
        return _fields(address) if address else {"queue": queues.check(queue or otherwise)}

    def message(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, names: tuple[str, ...] = ()
    ) -> TaskMessage:
        """The message for these arguments; `names` are those of positional ones, as far as known."""
        shown = _masked(args, _secret(names, self._redact))
        id_ = self._task_id or new_task_id()
        common = {**self._common, **self._routed(args, kwargs)} if self._routed else self._common
        return TaskMessage(
            id=id_,
            args=args,
            kwargs=kwargs,
            root_id=(self._parent.root_id if self._parent else None) or id_,
            argsrepr=saferepr(shown, redact=self._redact),
            kwargsrepr=saferepr(kwargs, redact=self._redact) if kwargs else "{}",
            **common,
        )


def _routed(
    task: str, said: TaskOptions, options: CallOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields in which `TASK_ROUTES` has a say, each as the call, the task or else the route wants it."""
    own = {
        name: _first(options.get(name), getattr(said, name), None)
        for name in TASK_KINDS.keys() & CALL_KINDS.keys()
    }
    name = _name_to_route(task, kwargs)
    asked = {**own, **options}
    route = routes.find(name, args, kwargs, asked, said if said.name else None)
    found = {"priority": _first(own["priority"], route.priority, 0)}
    exchange, routing_key = _way(said, options)
    is_routed = not own["queue"] and bool(
        route.queue or (route.routing_key and not routing_key) or (route.exchange and not exchange)
    )
    if address := queues.addressed(
        own["queue"] or route.queue,
        exchange or route.exchange,
        routing_key or route.routing_key,
        because=f" and TASK_ROUTES sends {name} there" if is_routed else "",
    ):
        found |= _fields(address)
    return found


def _fields(address: queues.Address) -> dict[str, Any]:
    return {"queue": address.queue, "exchange": address.exchange, "routing_key": address.routing_key}


def _way(said: TaskOptions, options: CallOptions) -> tuple[str | None, str | None]:
    """Exchange and routing key."""
    return options.get("exchange") or said.exchange, options.get("routing_key") or said.routing_key


def _name_to_route(task: str, kwargs: Mapping[str, Any]) -> str:
    """A map goes where the task goes that it calls, as in Celery."""
    mapped = kwargs.get("task") if task in (MAP, STARMAP) else None
    return str(mapped.get("task", task)) if isinstance(mapped, Mapping) else task


@lru_cache(maxsize=1_000)
def _secret(names: tuple[str, ...], redact: tuple[str, ...]) -> frozenset[int]:
    """The places of arguments that are not to be shown."""
    return frozenset(place for place, name in enumerate(names) if is_secret(name, redact))


def _masked(args: tuple[Any, ...], secret: frozenset[int]) -> tuple[Any, ...]:
    return tuple(MASK if place in secret else arg for place, arg in enumerate(args)) if secret else args


def message_of(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> TaskMessage:
    """The message of a task in a workflow. Of its options those of a call are taken; the others say where it stands."""
    said = _said(name)
    names = () if isinstance(said, Unknown) else said._arguments.names
    return Order(name, said, _of_a_call(options)).message(args, kwargs, names=names)


def checked_message_of(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> TaskMessage:
    """The same; arguments that the task cannot take raise `TypeError`."""
    said = _said(name)
    if said.typing and not isinstance(said, Unknown):
        said._arguments.check(args, kwargs, task=name)
    return message_of(name, args, kwargs, options)


def with_arguments(message: TaskMessage, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TaskMessage:
    """A message with other arguments, also where they are shown. Raises `TypeError` if its task cannot take them."""
    check_arguments(message.task, args, kwargs)
    said, names = _said(message.task), names_of(message.task)
    redact = (*conf.current().REDACT, *said.redact)
    return replace(
        message,
        args=args,
        kwargs=kwargs,
        argsrepr=saferepr(_masked(args, _secret(names, redact)), redact=redact),
        kwargsrepr=saferepr(kwargs, redact=redact),
    )


def check_arguments(task: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raises `TypeError` if the task cannot be called so, as far as known."""
    said = _said(task)
    if said.typing and not isinstance(said, Unknown):
        said._arguments.check(args, kwargs, task=task)


def names_of(task: str) -> tuple[str, ...]:
    """What a task's positional arguments are called, as far as known."""
    said = _said(task)
    return () if isinstance(said, Unknown) else tuple(said._arguments.names)


def check_options_of(name: str, options: Mapping[str, Any]) -> None:
    """Raises what a call of this task with these options would raise."""
    if of_a_call := _of_a_call(options):
        Order(name, _said(name), of_a_call)


def ignores(name: str, options: Mapping[str, Any]) -> bool:
    """Is nothing stored of a task that is called with these options?"""
    return _ignore_result(name, _said(name), _of_a_call(options), conf.current().TASK_IGNORE_RESULT)


def _said(name: str) -> Any:
    try:
        return registry.find(name)
    except NotRegistered:
        return Unknown()


class Unknown(TaskOptions):
    """What is known of a task that another program has: nothing."""


def _of_a_call(options: Mapping[str, Any]) -> Any:
    return {name: value for name, value in options.items() if name in CALL_KINDS}


def changes(options: CallOptions) -> dict[str, Any]:
    """The fields of a message that these options of a call set; what they leave open is not among them."""
    check_call(options)
    if options.get("subject") is not None:
        raise ValueError("subject is said when a task is sent: its next run is about the same. Leave it out.")
    found: dict[str, Any] = {"eta": _eta(options.get("countdown"), options.get("eta"))}
    # What came through an exchange came by one of its queues, and is to do so again.
    found |= {"exchange": "", "routing_key": ""}
    if way := queues.addressed(options.get("queue"), options.get("exchange"), options.get("routing_key")):
        found["queue"] = way.queue
    if options.get("expires") is not None:
        found["expires"] = _moment(options.get("expires"), "expires")
    if options.get("headers") is not None:
        found["headers"] = _headers(options.get("headers"))
    for option, field in (("link", "callbacks"), ("link_error", "errbacks")):
        if (links := cast("Any", options).get(option)) is not None:
            found[field] = tuple(listed(links)) or None
    for name in (
        "priority",
        "serializer",
        "compression",
        "ignore_result",
        "shadow",
        "reply_to",
        "time_limit",
        "soft_time_limit",
    ):
        if (value := options.get(name)) is not None:
            found[name] = value
    return found


def _compression(said: TaskOptions, options: CallOptions, otherwise: str | None) -> str | None:
    chosen = options.get("compression") or said.compression
    return compression.check(
        chosen or otherwise, "apply_async" if chosen else "DJANGO_TASKS['TASK_COMPRESSION']"
    )


def _ignore_result(task: str, said: TaskOptions, options: CallOptions, otherwise: bool) -> bool:
    if not said.atomic:
        return bool(_first(options.get("ignore_result"), said.ignore_result, otherwise))
    if options.get("ignore_result"):
        raise ValueError(
            f"{task} is atomic: its end is recorded together with its effects. Leave out ignore_result, "
            "or declare the task without atomic=True."
        )
    return False


def _first(call: Any, task: Any, otherwise: Any) -> Any:
    """The first that says something, even if it says 0 or no."""
    if call is not None:
        return call
    return otherwise if task is None else task


def positional(args: object, kwargs: object = None) -> tuple[Any, ...]:
    """`args` of a call as a tuple. Raises `TypeError` with what was meant if they are no list or tuple."""
    if args is None:
        return ()
    if not isinstance(args, list | tuple):
        meant = (args,) if kwargs is None or isinstance(kwargs, Mapping) else (args, kwargs)
        raise TypeError(
            f"args must be a list or tuple; did you mean apply_async({saferepr(meant, most=80)})?"
        )
    return tuple(args)


def keywords(kwargs: object) -> dict[str, Any]:
    """`kwargs` of a call as a dict of its own. Raises `TypeError` if they are no mapping of names."""
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise TypeError(f"kwargs must be a mapping with strings as keys, not {saferepr(kwargs, most=80)}.")
    return dict(kwargs)


def _eta(countdown: float | None, eta: dt.datetime | None) -> dt.datetime | None:
    if countdown is not None and eta is not None:
        raise ValueError("countdown and eta both say when to start; give one of them.")
    if countdown is not None and countdown < 0:
        raise ValueError(f"countdown must be 0 or more seconds, not {countdown}.")
    return _moment(countdown or None, "countdown") or _moment(eta, "eta")


def _moment(when: float | dt.datetime | None, option: str) -> dt.datetime | None:
    """A datetime, or seconds from now, in UTC."""
    if when is None:
        return None
    try:
        in_utc = (
            clock.from_storage(when)
            if isinstance(when, dt.datetime)
            else clock.now() + dt.timedelta(seconds=when)
        )
        # What lies outside can be neither read back (message/fields.py) nor stored by every database.
        if 1000 < in_utc.year < 9999:
            return in_utc
    except (OverflowError, ValueError):  # ValueError: the number is NaN
        pass
    raise ValueError(f"{option} must be a moment between the years 1000 and 9999, not {when}.")


def _headers(headers: Mapping[Any, Any] | None) -> Mapping[str, Any]:
    if not headers:
        return {}
    if wrong := [name for name in headers if not isinstance(name, str)]:
        raise TypeError(f"headers must have strings as keys, not {saferepr(wrong[0], most=80)}.")
    if taken := sorted(RESERVED.intersection(headers)):
        raise ValueError(
            f"headers cannot have {', '.join(taken)}: the protocol uses them. Choose other names."
        )
    return dict(headers)


@cache
def _origin(pid: int) -> str:
    """The sender as Celery names one. By pid, because a forked child is another sender."""
    return f"gen{pid}@{socket.gethostname()}"
