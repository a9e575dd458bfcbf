"""The settings: every key of `DJANGO_TASKS`, once, with its type, its default and one sentence.

Documentation, system checks and error messages are made from these declarations.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

NAME = "DJANGO_TASKS"


def setting(
    default: Any, sentence: str, *, least: float | None = None, among: tuple[object, ...] = ()
) -> Any:
    """Declare a key: its default (or the class that makes one), and what it is for.

    `least` is the smallest number that it can be; `among` is all that it can be.
    """
    metadata = {"sentence": sentence, "least": least, "among": among}
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values in force. Read them with `current()`."""

    DATABASE: str = setting("default", "Alias of the database that holds the tasks.")
    BROKER_URL: str = setting(
        "django://", "Where messages are delivered: a kombu URL; `django://` is the database."
    )
    BROKER_TRANSPORT_OPTIONS: dict[str, Any] = setting(  # noqa: RUF009 - it makes a field
        dict, "Options for the kombu transport of `BROKER_URL`."
    )
    BROKER_POOL_LIMIT: int | None = setting(
        10,
        "How many connections a process lends at most, to send over and by `app.pool`; `None` is any number.",
    )
    ON_BROKER_DOWN: str | None = setting(
        None,
        "A task sent while a broker of its own is away: 'outbox' keeps it in the database until it is back, 'raise' "
        "raises OperationalError; None keeps those of which something is stored.",
        among=(None, "outbox", "raise"),
    )
    IMPORTS: tuple[str, ...] = setting(
        (), "Modules with tasks, besides the `tasks` module of each installed app."
    )
    TASK_DEFAULT_QUEUE: str = setting("default", "The queue of tasks that name none.")
    TASK_QUEUES: Mapping[Any, Any] | tuple[object, ...] = setting(
        (),
        "The queues of this project, besides the default one: a list of names and of `kombu.Queue` objects, "
        "or a mapping of names to exchanges, routing keys and arguments.",
    )
    TASK_ROUTES: Mapping[Any, Any] | str | tuple[object, ...] = setting(
        (),
        "Where tasks go whose call and options name no queue: a mapping of names or patterns to queues, "
        "the dotted path of a function, or a list of these.",
    )
    TASK_SERIALIZER: str = setting("json", "How arguments are written.")
    TASK_COMPRESSION: str | None = setting(
        None,
        "How messages are compressed on their way: 'gzip', 'bzip2', 'lzma' or another name that kombu knows.",
    )
    TASK_PUBLISH_RETRY: bool = setting(
        True, "Sending is tried again if the database cannot be reached, outside of transactions."
    )
    TASK_PUBLISH_RETRY_POLICY: dict[str, Any] = setting(  # noqa: RUF009 - it makes a field
        dict,
        "How: `max_retries` (3; None is for ever), and seconds: `interval_start` (0), `interval_step` (0.2), "
        "`interval_max` (0.2).",
    )
    ACCEPT_CONTENT: tuple[str, ...] = setting(("json",), "The serializers a worker agrees to read.")
    MESSAGE_SIGNING: bool = setting(
        False,
        "Messages are signed with `SECRET_KEY`, and a worker runs no others: unsigned or altered ones are set "
        "aside.",
    )
    # Read into lists of nothing, four million bytes take a hundred MB: by so much one message may make a process grow.
    # And a message of that size fits into one statement of MariaDB, which takes 16 MB by default.
    MESSAGE_MAX_BYTES: int = setting(
        4_000_000,
        "The most that a message's body may take, compressed or not, and the most that its headers may; "
        "what is larger is refused where it is sent, and set aside where it is received.",
        least=1_000,
    )
    TASK_ACKS_LATE: bool = setting(
        False, "Run a task again if its worker dies, instead of recording a failure."
    )
    TASK_IGNORE_RESULT: bool = setting(
        False, "Send tasks without a row: nothing is stored, nothing can be asked."
    )
    TASK_ALWAYS_EAGER: bool = setting(
        False, "Run tasks where they are sent instead of sending them, for tests."
    )
    TASK_EAGER_PROPAGATES: bool = setting(
        False, "A task run where it is sent raises there what its body raised."
    )
    TASK_TIME_LIMIT: float | None = setting(None, "Seconds after which a task's process is killed.")
    TASK_SOFT_TIME_LIMIT: float | None = setting(
        None, "Seconds after which a task is told that its time is over."
    )
    TASK_DEFAULT_RATE_LIMIT: str | None = setting(
        None, "How often a task begins in one worker if it does not say."
    )
    WORKER_DISABLE_RATE_LIMITS: bool = setting(False, "Take no notice of any rate limit.")
    TASK_TRACK_STARTED: bool = setting(True, "Show the state STARTED of tasks that run longer than a moment.")
    TASK_STORE_ERRORS_EVEN_IF_IGNORED: bool = setting(
        False, "Store the failures of tasks of which otherwise nothing is stored."
    )
    RESULT_STORE: str = setting(
        "database",
        "Where results are asked for: 'database', 'cache', 'disabled', or the dotted path of a ResultStore.",
    )
    RESULT_CACHE: str = setting("default", "The alias in CACHES that the store 'cache' uses.")
    RESULT_EXPIRES: float | dt.timedelta | None = setting(  # noqa: RUF009 - it makes a field
        dt.timedelta(days=1),
        "How long ended tasks are kept: seconds or a timedelta; None or 0 is for ever.",
        least=0,
    )
    RESULT_MAX_BYTES: int = setting(
        1_000_000, "The most that a result may take as JSON; a task that returns more fails.", least=1_000
    )
    MAX_CRASHES: int = setting(
        3, "How many processes a task may take down before it fails for good.", least=0
    )
    WORKER_LEASE: float = setting(
        30.0, "Seconds a worker is believed to be alive without news from it.", least=1
    )
    WORKER_REDIRECT_STDOUTS: bool = setting(
        True, "What tasks print goes into the worker's log, at level WARNING."
    )
    SEND_TASK_ERROR_EMAILS: bool = setting(False, "Write to Django's `ADMINS` when a task fails.")
    TASK_ERROR_WHITELIST: tuple[str | type, ...] = setting(
        (), "Exceptions, as classes or dotted paths, about which nobody is written to."
    )
    SEND_MIDDLEWARE: tuple[str, ...] = setting(
        (), "Dotted paths of middleware around sending, the outermost first."
    )
    EXECUTE_MIDDLEWARE: tuple[str, ...] = setting(
        (), "Dotted paths of middleware around the body of each task, the outermost first."
    )
    HTTP_DISPATCH_ALLOWED_HOSTS: tuple[str, ...] = setting(
        (),
        "Hosts that `django_tasks.http_dispatch` may call, written as in `ALLOWED_HOSTS`, or as host:port.",
    )
    REDACT: tuple[str, ...] = setting(
        (
            "password",
            "passwd",
            "secret",
            "token",
            "api_key",
            "apikey",
            "authorization",
            "credential",
            "private_key",
        ),
        "Arguments whose name contains one of these are never shown in logs or the admin.",
    )

    @property
    def is_remote(self) -> bool:
        """Does a broker of its own deliver messages, outside of the database's transactions?"""
        return not self.BROKER_URL.startswith("django://")

    @property
    def is_apart(self) -> bool:
        """Are messages elsewhere than the tasks' rows? Then there may come to be a row without its message."""
        return self.BROKER_URL not in ("django://", f"django://{self.DATABASE}")


@cache
def current() -> Settings:
    """The settings of this process.

    Raises `ImproperlyConfigured` with every problem found; the system checks report the same list.
    """
    found, problems = read(getattr(django_settings, NAME, {}))
    if problems:
        raise ImproperlyConfigured(" ".join(problems))
    return found


def read(values: object) -> tuple[Settings, list[str]]:
    """The settings that `values` describes, and what is wrong with it, one sentence each."""
    if not isinstance(values, Mapping):
        return Settings(), [f"{NAME} must be a dict, not {type(values).__name__}."]
    hints = _hints()
    accepted: dict[str, Any] = {}
    problems = []
    for key, value in values.items():
        if key not in hints:
            problems.append(f"{NAME} has no key {key!r}.{guess(str(key).upper(), hints)}")
        elif (fitting := _fitting(value, hints[key])) is _MISFIT:
            problems.append(f"{NAME}[{key!r}] must be {_words(hints[key])}, not {value!r}.")
        elif (least := _LEAST[key]) is not None and not _is_enough(fitting, least):
            problems.append(f"{NAME}[{key!r}] must be {least} or more, not {value!r}.")
        elif (among := _AMONG[key]) and fitting not in among:
            choices = ", ".join(map(repr, among))
            problems.append(f"{NAME}[{key!r}] must be one of {choices}, not {value!r}.")
        else:
            accepted[key] = fitting
    return Settings(**accepted), problems


@cache
def _hints() -> dict[str, Any]:
    return typing.get_type_hints(Settings)


def guess(word: str, known: Mapping[str, Any] | typing.Iterable[str], cutoff: float = 0.7) -> str:
    """ " Did you mean 'x'?" if a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""


_MISFIT = object()
_AMONG = {field.name: field.metadata["among"] for field in dataclasses.fields(Settings)}
_LEAST = {field.name: field.metadata["least"] for field in dataclasses.fields(Settings)}


def _fitting(value: Any, hint: Any) -> Any:
    """`value` as the declared type wants it, or `_MISFIT`. A list is taken for a tuple, an int for a float."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        origin = typing.get_origin(option) or option
        if origin is tuple and isinstance(value, list | tuple | set | frozenset):
            item_type = typing.get_args(option)[0]
            return tuple(value) if all(isinstance(item, item_type) for item in value) else _MISFIT
        if origin is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if origin is int and isinstance(value, bool):
            continue
        if isinstance(value, origin):
            return value
    return _MISFIT


def _is_enough(value: Any, least: float) -> bool:
    number = value.total_seconds() if isinstance(value, dt.timedelta) else value
    return number is None or least <= number < math.inf


def _words(hint: Any) -> str:
    names: dict[Any, str] = {
        str: "a string",
        bool: "True or False",
        int: "a whole number",
        float: "a number",
        tuple: "a list of strings",
        dt.timedelta: "a timedelta",
        types.NoneType: "None",
        Mapping: "a mapping",
    }
    if hint == tuple[object, ...]:
        return "a list"
    if isinstance(hint, types.UnionType):
        return " or ".join(map(_words, typing.get_args(hint)))
    return names.get(typing.get_origin(hint) or hint, getattr(hint, "__name__", str(hint)))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        current.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.conf")
