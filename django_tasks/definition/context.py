"""Context: what a running task knows about this run of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_tasks.message.message import TaskMessage
from django_tasks.results.async_result import AsyncResult

from .worker_log import worker_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A run that is to follow this one: its message, and why."""

    message: TaskMessage
    why: BaseException


class Context:
    """One run of a task, with the names of Celery's `Task.request`. What is not asked for is not computed.

    `get(name)` and attribute access also find the headers that the sender added.
    """

    __slots__ = (
        "_delivery_info",
        "_message",
        "_owner",
        "_report",
        "_retry",
        "children",
        "hostname",
        "is_eager",
    )

    _message: TaskMessage
    _delivery_info: Mapping[str, Any] | None
    #: Takes a state to show while it runs, and what that carries as JSON text; `None` where nobody would show it.
    _report: Callable[[str, str], object] | None
    #: The next run, once this one has asked for it.
    _retry: Again | None
    #: Name of the worker that runs it.
    hostname: str | None
    #: Whether it runs in the process that sent it.
    is_eager: bool
    #: Whose the row is, as it says; empty where there is none.
    _owner: str
    #: What this run has sent so far, the first one first.
    children: list[AsyncResult[Any]]

    @classmethod
    def of(
        cls,
        message: TaskMessage,
        *,
        hostname: str | None = None,
        delivery_info: Mapping[str, Any] | None = None,
        is_eager: bool = False,
        owner: str = "",
        report: Callable[[str, str], object] | None = None,
    ) -> Context:
        """The context of the run that `message` asks for."""
        context = cls()
        context._message = message
        context._delivery_info = delivery_info
        context._report = report
        context._retry = None
        context.hostname = hostname
        context.is_eager = is_eager
        context._owner = owner
        context.children = []
        return context

    @property
    def id(self) -> str | None:
        return self._message.id or None

    @property
    def task(self) -> str:
        """The name in the message: an alias, if the sender used one."""
        return self._message.task

    @property
    def called_directly(self) -> bool:
        """Whether it was called like a function: it has no id then, and nothing of it is recorded."""
        return not self._message.id

    @property
    def args(self) -> tuple[Any, ...]:
        return self._message.args

    @property
    def kwargs(self) -> Mapping[str, Any]:
        return self._message.kwargs

    @property
    def argsrepr(self) -> str:
        """What `args` look like, for people: shortened, and without secrets."""
        return self._message.argsrepr

    @property
    def kwargsrepr(self) -> str:
        """The same of `kwargs`."""
        return self._message.kwargsrepr

    @property
    def retries(self) -> int:
        """How often it has been tried again: 0 in the first run."""
        return self._message.retries

    @property
    def root_id(self) -> str | None:
        """The first task of those that led to this one; its own id if none did."""
        return self._message.root_id or self.id

    @property
    def parent_id(self) -> str | None:
        """The task that sent this one."""
        return self._message.parent_id

    @property
    def correlation_id(self) -> str | None:
        return self.id

    @property
    def group(self) -> str | None:
        return self._message.group

    taskset = group

    @property
    def group_index(self) -> int | None:
        """Its place in the group, from 0."""
        return self._message.group_index

    @property
    def chord(self) -> Mapping[str, Any] | None:
        return self._message.chord

    @property
    def chain(self) -> tuple[Mapping[str, Any], ...] | None:
        """What remains of the chain, the next one last."""
        return self._message.chain

    @property
    def callbacks(self) -> tuple[Mapping[str, Any], ...] | None:
        return self._message.callbacks

    @property
    def errbacks(self) -> tuple[Mapping[str, Any], ...] | None:
        return self._message.errbacks

    errback = errbacks

    @property
    def eta(self) -> str | None:
        """Not before this moment: ISO 8601, in UTC."""
        return self._message.eta.isoformat() if self._message.eta else None

    @property
    def expires(self) -> str | None:
        """Not after this moment: ISO 8601, in UTC."""
        return self._message.expires.isoformat() if self._message.expires else None

    @property
    def utc(self) -> bool:
        return True

    @property
    def timelimit(self) -> tuple[float | None, float | None]:
        """Seconds: (hard, soft)."""
        return self._message.time_limit, self._message.soft_time_limit

    @property
    def headers(self) -> Mapping[str, Any] | None:
        """What the sender added of its own."""
        return self._message.headers or None

    @property
    def user_id(self) -> str | None:
        """The primary key of the user because of whom it was sent, as text (`django_tasks.requests`)."""
        return self._message.asked.user_id if self._message.asked else None

    @property
    def request_id(self) -> str | None:
        """The HTTP request because of which it was sent."""
        return self._message.asked.request_id if self._message.asked else None

    @property
    def subject(self) -> tuple[str, str] | None:
        """What it is about: the kind of object, as `app.model`, and its primary key as text."""
        return self._message.subject

    @property
    def replaced_task_nesting(self) -> int:
        """How many tasks it has taken the place of, one after the other."""
        return self._message.replaced_task_nesting

    @property
    def shadow(self) -> str | None:
        return self._message.shadow

    @property
    def origin(self) -> str:
        """The process that sent it: `gen<pid>@<host>`."""
        return self._message.origin

    @property
    def reply_to(self) -> str | None:
        return self._message.reply_to or None

    @property
    def delivery_info(self) -> Mapping[str, Any]:
        """How the broker delivered it; at least `exchange`, `routing_key`, `priority`, `redelivered`."""
        if self._delivery_info is not None:
            return self._delivery_info
        exchange, routing_key = self._message.address
        priority = self._message.priority
        return {"exchange": exchange, "routing_key": routing_key, "priority": priority, "redelivered": False}

    @property
    def logfile(self) -> str | None:
        """The file that its worker logs to, if it does."""
        return worker_log().file

    @property
    def loglevel(self) -> int | None:
        """The level from which its worker logs, as a number of `logging`."""
        return worker_log().level

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)

    def as_execution_options(self) -> dict[str, Any]:
        """This run as Celery's options of a call: what it takes to send the same again."""
        hard, soft = self.timelimit
        headers = {
            name: value for name, value in self._message.headers.items() if name not in _OF_DEAD_LETTERS
        }
        stamps, stamped = headers.pop("stamps", None), headers.pop("stamped_headers", None)
        return {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "soft_time_limit": soft,
            "time_limit": hard,
            "headers": headers,
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
            **_stamps(stamps, stamped),
        }

    if not TYPE_CHECKING:  # a type checker should go on to find slips of the pen

        def __getattr__(self, name: str) -> Any:
            # Without its message (`copy` makes it so for a moment) it would ask itself forever.
            if name not in self.__slots__ and name in self._message.headers:
                return self._message.headers[name]
            raise AttributeError(f"A request has no {name!r}, and its sender added no header of that name.")

    def __repr__(self) -> str:
        return f"<Context: {self.task}[{self.id or 'called directly'}]>"


#: Headers in which RabbitMQ tells what became of a message before: copied, they would make it see a circle.
_OF_DEAD_LETTERS = frozenset({
    "x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
    "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason",
})  # fmt: skip


def _stamps(stamps: object, stamped: object) -> dict[str, Any]:
    if not isinstance(stamps, Mapping) or not isinstance(stamped, list | tuple):
        return {}
    return {"stamped_headers": stamped, **{name: stamps[name] for name in stamps if name in stamped}}
