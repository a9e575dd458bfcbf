"""The options, each declared once: those a task has, and those one call has.

Documentation, the checks of values and the error messages are made from these declarations.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any, NamedTuple, TypedDict

from asgiref.sync import iscoroutinefunction
from django.db.models import Model

from django_tasks import conf
from django_tasks.exceptions import UnknownOption
from django_tasks.message import compression
from django_tasks.message.fields import HIGHEST_PRIORITY, LONGEST
from django_tasks.message.retry_policy import RetryPolicy
from django_tasks.message.saferepr import saferepr
from django_tasks.results import handler as stores

from .rates import per_second


def option(default: Any, sentence: str) -> Any:
    """Declare an option of tasks: its default and what it is for."""
    return dataclasses.field(default=default, metadata={"sentence": sentence})


@dataclasses.dataclass(init=False, repr=False, eq=False)
class TaskOptions:
    """Keywords of `@task`, class attributes of `Task`, inherited by `base=`. `None`: as the setting says."""

    name: str = option(
        "", "The name that travels; if empty, it is made of the module and the function. Not inherited."
    )
    aliases: tuple[str, ...] = option(
        (), "Older names; messages that carry one still find the task. Not inherited."
    )
    abstract: bool = option(
        False, "The class is only there to be inherited from: it is no task. Not inherited."
    )
    bind: bool = option(False, "The function takes the task itself as its first argument.")
    typing: bool = option(True, "Arguments that the function cannot take are refused when the task is sent.")
    queue: str | None = option(None, "The queue it waits in; `None` is `TASK_DEFAULT_QUEUE`.")
    exchange: str | None = option(
        None, "The exchange of `TASK_QUEUES` that it is sent through, if `queue` says nothing."
    )
    routing_key: str | None = option(
        None, "What the exchange delivers it by; without an exchange, the name of its queue."
    )
    mandatory: bool | None = option(
        None, "The broker is asked whether there is a queue for it: `Unroutable` is raised if not."
    )
    immediate: bool | None = option(None, "Cannot be true: RabbitMQ has it no more. See `expires`.")
    priority: int | None = option(None, "0 to 9; 0, the default, is served first by the embedded broker.")
    serializer: str | None = option(None, "How arguments are written; `None` is `TASK_SERIALIZER`.")
    compression: str | None = option(
        None, "How its messages are compressed, such as 'gzip'; `None` is `TASK_COMPRESSION`."
    )
    expires: float | dt.datetime | None = option(None, "Seconds after sending, or a moment: no later.")  # noqa: RUF009
    ignore_result: bool | None = option(None, "Nothing is stored of it; `None` is `TASK_IGNORE_RESULT`.")
    backend: str | None = option(
        None, "Where what it returns is kept, named as in `RESULT_STORE`; `None` is what that says."
    )
    acks_late: bool | None = option(None, "It runs again if its worker dies; `None` is `TASK_ACKS_LATE`.")
    atomic: bool = option(
        False, "The body, what it sends and its success are one transaction of the tasks' database."
    )
    store_errors_even_if_ignored: bool | None = option(
        None, "Its failures are stored nevertheless; `None` is `TASK_STORE_ERRORS_EVEN_IF_IGNORED`."
    )
    track_started: bool | None = option(
        None, "STARTED is shown if it runs for more than a moment; `None` is `TASK_TRACK_STARTED`."
    )
    redact: tuple[str, ...] = option((), "Arguments never shown, besides those of the setting `REDACT`.")
    max_retries: int | None = option(3, "How often it is tried again at most; `None` is without end.")
    default_retry_delay: float = option(180.0, "Seconds until it is tried again, if `retry` does not say.")
    autoretry_for: tuple[type[BaseException], ...] = option(
        (), "Exceptions for which it is tried again by itself."
    )
    dont_autoretry_for: tuple[type[BaseException], ...] = option(
        (), "Exceptions of these for which it is not."
    )
    retry_kwargs: Mapping[str, Any] | None = option(
        None, "Arguments for `retry` when it is tried again by itself."
    )
    retry_backoff: bool | float = option(
        False, "Tried again by itself after 1, 2, 4, 8 … seconds; a number is the first of these delays."
    )
    retry_backoff_max: float = option(600, "The longest of these delays, in seconds.")
    retry_jitter: bool = option(True, "Each of these delays is drawn from between 0 and its length.")
    time_limit: float | None = option(
        None, "Seconds after which its process is killed; `None` is `TASK_TIME_LIMIT`."
    )
    soft_time_limit: float | None = option(
        None, "Seconds after which SoftTimeLimitExceeded is raised in it; `None` is `TASK_SOFT_TIME_LIMIT`."
    )
    rate_limit: str | float | None = option(
        None,
        "How often it begins in one worker: per second, or '100/m', '5/h'; `None` is `TASK_DEFAULT_RATE_LIMIT`.",
    )
    throws: tuple[type[BaseException], ...] = option(
        (), "Expected exceptions: logged in one line at level INFO, and mailed to nobody."
    )
    send_error_emails: bool | None = option(
        None, "Django's ADMINS are written to if it fails; `None` is `SEND_TASK_ERROR_EMAILS`."
    )
    error_whitelist: tuple[type[BaseException] | str, ...] = option(
        (), "Exceptions, as classes or dotted paths, about which nobody is written to."
    )


#: A signature, or several.
Links = Mapping[str, Any] | list[Any] | tuple[Any, ...]


class CallOptions(TypedDict, total=False):
    """Keywords of `apply_async` and its like. `None`: as the task says, or else the setting."""

    countdown: Annotated[float | None, "Seconds from now before which it does not start."]
    eta: Annotated[dt.datetime | None, "The moment before which it does not start; naive is in `TIME_ZONE`."]
    expires: Annotated[
        float | dt.datetime | None, "Seconds from now, or the moment, after which it is not run."
    ]
    queue: Annotated[str | None, "The queue it waits in."]
    exchange: Annotated[
        str | None,
        "The exchange of `TASK_QUEUES` that it is sent through, if nobody names a `queue`.",
    ]
    routing_key: Annotated[
        str | None, "What the exchange delivers it by; without an exchange, the name of its queue."
    ]
    mandatory: Annotated[
        bool | None, "The broker is asked whether there is a queue for it: `Unroutable` is raised if not."
    ]
    immediate: Annotated[bool | None, "Cannot be true: RabbitMQ has it no more. See `expires`."]
    priority: Annotated[int | None, "0 to 9; 0 is served first by the embedded broker."]
    serializer: Annotated[str | None, "How arguments are written."]
    compression: Annotated[str | None, "How the message is compressed, such as 'gzip'."]
    task_id: Annotated[str | None, "The id to be known by, at most 255 characters; otherwise a new UUIDv7."]
    headers: Annotated[
        Mapping[str, Any] | None, "Values of your own that travel along; see `request.headers`."
    ]
    shadow: Annotated[str | None, "The name to show instead of the task's."]
    ignore_result: Annotated[bool | None, "Nothing is stored of this one."]
    time_limit: Annotated[float | None, "Seconds after which its process is killed."]
    soft_time_limit: Annotated[float | None, "Seconds after which SoftTimeLimitExceeded is raised in it."]
    link: Annotated[
        Links | None,
        "Signatures that are called with its result once it has succeeded.",
    ]
    link_error: Annotated[
        Links | None,
        "Signatures that are called once it has failed: with its id, or with request, exception and traceback.",
    ]
    retry: Annotated[
        bool | None,
        "Sending is tried again if the database cannot be reached; `None` is `TASK_PUBLISH_RETRY`.",
    ]
    retry_policy: Annotated[
        Mapping[str, Any] | None, "How; keys that it leaves out are those of `TASK_PUBLISH_RETRY_POLICY`."
    ]
    subject: Annotated[
        Model | list[str] | tuple[str, str] | None,
        "The object of your project that it is about: an instance of a model. See `TaskResult.objects.about`.",
    ]
    reply_to: Annotated[str | None, "Where a sender of another system waits for the answer."]


#: Options of Celery's and Django's tasks that nothing acts on yet: taken silently, they would seem to work.
TASK_OPTIONS_TO_COME = frozenset(("reject_on_worker_lost", "queue_name", "takes_context"))
#: The same for one call.
CALL_OPTIONS_TO_COME = frozenset(("add_to_parent",))


#: What a task does around its body. Given as keywords of `@task` they take the task first, like methods (Celery).
HANDLERS = frozenset(("before_start", "on_success", "on_failure", "on_retry", "after_return"))


class Kind(NamedTuple):
    """What values an option takes: their classes, and the same in words."""

    classes: tuple[type, ...]
    words: str
    #: What the items of a tuple are: a key of `_ITEMS`.
    items: str | None = None


_WORDS: dict[type, str] = {
    str: "a string",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    Mapping: "a mapping",
    dt.datetime: "a datetime",
    Model: "an instance of a model",
    list: "a list",
    tuple: "a pair of strings",
}


_ITEMS: dict[Any, str] = {
    str: "strings",
    type[BaseException]: "exception classes",
    type[BaseException] | str: "exception classes or dotted paths to them",
}


def _kind(hint: Any) -> Kind:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is tuple:
        items = _ITEMS[typing.get_args(hint)[0]]
        return Kind((tuple,), f"a list or tuple of {items}", items)
    classes = tuple(typing.get_origin(option) or option for option in options)
    if set(typing.get_args(Links)) <= set(options):
        return Kind(classes, "a signature or a list of signatures")
    return Kind(classes, " or ".join(_WORDS[cls] for cls in classes if cls is not types.NoneType))


TASK_KINDS = {name: _kind(hint) for name, hint in typing.get_type_hints(TaskOptions).items()}
CALL_KINDS = {name: _kind(hint) for name, hint in typing.get_type_hints(CallOptions).items()}


def check_names(given: Collection[str], taken: Collection[str]) -> None:
    """Keywords of `@task`. One that is no option becomes an attribute (Celery), unless it looks like a slip.

    Raises `UnknownOption` for those near an option, and for `taken` ones: what every task has.
    """
    known = {*TASK_KINDS, *TASK_OPTIONS_TO_COME, *HANDLERS, "base"}
    for name in given:
        if name in known:
            continue
        if slip := conf.guess(name, known):
            raise UnknownOption(
                f"@task has no option {name!r}.{slip} If it is no slip, set the attribute in a base= class."
            )
        if name in taken and name not in HANDLERS:
            raise UnknownOption(
                f"Every task has its own {name!r}: it cannot be an option. Choose another name."
            )


def check_values(given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The options among the attributes of a task, as their declared types want them.

    Raises `TypeError` or `ValueError` for a value that does not fit, `UnknownOption` for an option to come.
    """
    if later := TASK_OPTIONS_TO_COME.intersection(given):
        raise _not_yet(min(later), where)
    found = {
        name: fitting(given[name], TASK_KINDS[name], name, where) for name in TASK_KINDS.keys() & given.keys()
    }
    for name in (found.get("name") or None, *found.get("aliases", ())):
        check_text(name, "name", where)
    check_priority(found.get("priority"), where)
    check_immediate(found.get("immediate"), where)
    compression.check(found.get("compression"), where)
    stores.check_name(found.get("backend"), f"{where}: backend")
    check_limits(found.get("time_limit"), found.get("soft_time_limit"), where)
    per_second(found.get("rate_limit"))
    for name in ("max_retries", "default_retry_delay", "retry_backoff", "retry_backoff_max"):
        if (found.get(name) or 0) < 0:
            raise ValueError(f"{where}: {name} must not be negative, as {found[name]} is.")
    return found


def check_combinations(task: Any, *, where: str) -> None:
    """What a class of tasks says together with what it inherits. Raises `ValueError` or `TypeError`."""
    if task.atomic and task.ignore_result:
        raise ValueError(
            f"{where}: atomic=True records the end of the task together with its effects, "
            "and ignore_result=True records nothing. Leave one of them out."
        )
    if task.atomic and task.is_async:
        raise ValueError(
            f"{where}: atomic=True is for plain functions: a Django transaction cannot be held over an await. "
            "Make it `def`, or put the transaction into a function called with sync_to_async."
        )
    for name in sorted(HANDLERS):
        if iscoroutinefunction(getattr(task, name, None)):
            raise TypeError(
                f"{where}: {name} must be a plain function, also where the body is a coroutine: "
                "it is called in a thread, where the database may be used. Write `def`."
            )


def check_call(given: Mapping[str, Any]) -> None:
    """The options of one call. Raises `UnknownOption`, or `TypeError` for a value of another type."""
    for name, value in given.items():
        if name in CALL_OPTIONS_TO_COME:
            raise _not_yet(name, "apply_async")
        if name not in CALL_KINDS:
            raise UnknownOption(
                f"apply_async has no option {name!r}.{conf.guess(name, CALL_KINDS)} "
                "Arguments for the task itself go into args=(...) and kwargs={...}."
            )
        fitting(value, CALL_KINDS[name], name, "apply_async")
    for name in ("link", "link_error"):
        check_links(given.get(name), name)
    for name in ("task_id", "shadow", "reply_to"):
        check_text(given.get(name), name, "apply_async")
    check_priority(given.get("priority"), "apply_async")
    check_immediate(given.get("immediate"), "apply_async")
    compression.check(given.get("compression"), "apply_async")
    check_limits(given.get("time_limit"), given.get("soft_time_limit"), "apply_async")
    RetryPolicy.of(given.get("retry_policy") or {}, where="apply_async: retry_policy")


def _not_yet(name: str, where: str) -> UnknownOption:
    return UnknownOption(
        f"{where}: {name!r} is not supported yet by this version of django_tasks. Leave it out."
    )


def fitting(value: Any, kind: Kind, name: str, where: str) -> Any:
    """`value` as an option of this kind keeps it: a list becomes a tuple. Raises `TypeError` for a misfit."""
    fits = isinstance(value, (*kind.classes, int) if float in kind.classes else kind.classes)
    if isinstance(value, bool) and not kind.items:
        fits = bool in kind.classes
    elif kind.items and isinstance(value, list | tuple | set | frozenset):
        fits, value = all(_is_item(item, kind) for item in value), tuple(value)
    elif kind.items == "exception classes" and value in (None, False):
        fits, value = True, ()  # an old way to say: none (FEATURES D-AUTOFALSE)
    if not fits:
        raise TypeError(f"{where}: {name} must be {kind.words}, not {saferepr(value, most=80)}.")
    return value


def _is_item(item: object, kind: Kind) -> bool:
    if isinstance(item, str):
        return kind.items == "strings" or (kind.items != "exception classes" and "." in item.strip("."))
    return kind.items != "strings" and isinstance(item, type) and issubclass(item, BaseException)


def check_links(links: Links | None, name: str) -> None:
    """Raises `TypeError` for what is no signature."""
    for link in [links] if isinstance(links, Mapping) else links or ():
        if not (isinstance(link, Mapping) and isinstance(link.get("task"), str)):
            shown = saferepr(link, most=80)
            raise TypeError(f"apply_async: {name} must be a signature, not {shown}. Write task.s(...).")


def check_text(text: str | None, name: str, where: str) -> None:
    """What goes into a header and a column must fit both."""
    if text is not None and not (0 < len(text) <= LONGEST and text.isprintable()):
        shown = saferepr(text, most=80)
        raise ValueError(f"{where}: {name} must be 1 to {LONGEST} printable characters, not {shown}.")


def check_made_name(name: str, where: str) -> None:
    """A name that nobody chose must fit as well. Raises `ValueError`."""
    if len(name) > LONGEST:
        raise ValueError(
            f"{where}: the name made of its place has {len(name)} characters, and {LONGEST} are the most. "
            'Give it one: @task(name="...").'
        )


def check_priority(priority: int | None, where: str) -> None:
    if priority is not None and not 0 <= priority <= HIGHEST_PRIORITY:
        raise ValueError(f"{where}: priority must be from 0 to {HIGHEST_PRIORITY}, not {priority}.")


def check_immediate(immediate: bool | None, where: str) -> None:
    if immediate:
        raise ValueError(
            f"{where}: immediate=True asks for a flag that RabbitMQ removed in version 3. Leave it out; "
            "with expires=... a task that no worker takes in time is not run."
        )


def check_limits(hard: float | None, soft: float | None, where: str) -> None:
    for name, limit in (("time_limit", hard), ("soft_time_limit", soft)):
        if limit is not None and not 0 < limit < float("inf"):
            raise ValueError(
                f"{where}: {name} must be more than 0 seconds, not {limit}. Leave it out for no limit."
            )
    if hard is not None and soft is not None and soft > hard:
        raise ValueError(
            f"{where}: soft_time_limit ({soft:g} s) comes after time_limit ({hard:g} s) and would never be heard. "
            "Make it the smaller one."
        )
