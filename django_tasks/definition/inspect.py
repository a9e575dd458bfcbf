"""`app.control.inspect()`: questions to running workers, with Celery's names and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django_tasks.handlers import later

ask: Callable[..., dict[str, Any]] = later("django_tasks.definition.asking.ask")

#: What each worker answers, by its name; `None` if nobody does.
Answers = Mapping[str, Any] | None


class Inspect:
    """`destination`: the names of those who are asked, all by default; `timeout`: seconds to wait for the slowest."""

    def __init__(self, destination: Iterable[str] | None = None, timeout: float = 1.0) -> None:
        self.destination = [destination] if isinstance(destination, str) else destination
        self.timeout = timeout

    def ping(self, destination: Iterable[str] | None = None) -> Answers:
        if destination is not None:
            return Inspect(destination, self.timeout).ping()
        return self._ask("ping")

    def active(self, safe: bool | None = None) -> Answers:
        """What runs. Arguments are always `safe`: as text, shortened, without secrets."""
        return self._ask("active")

    def reserved(self, safe: bool | None = None) -> Answers:
        """What is claimed and has not begun."""
        return self._ask("reserved")

    def scheduled(self, safe: bool | None = None) -> Answers:
        """Nothing: what is due later waits in the database, in no worker."""
        return self._ask("scheduled")

    def registered(self, *taskinfoitems: str) -> Answers:
        """The tasks that each knows, with these options of theirs."""
        return self._ask("registered", taskinfoitems=taskinfoitems)

    registered_tasks = registered

    def stats(self) -> Answers:
        return self._ask("stats")

    def active_queues(self) -> Answers:
        return self._ask("active_queues")

    def revoked(self) -> Answers:
        return self._ask("revoked")

    def conf(self, with_defaults: bool = False) -> Answers:
        """The settings in force, of the project alone or all of them, without secrets."""
        return self._ask("conf", with_defaults=with_defaults)

    def report(self) -> Answers:
        return self._ask("report")

    def query_task(self, *ids: str | Iterable[str]) -> Answers:
        """Which of these tasks each has, and what it does with them."""
        wanted = [id for some in ids for id in ([some] if isinstance(some, str) else some)]
        return self._ask("query_task", ids=wanted)

    def _ask(self, method: str, **arguments: Any) -> Answers:
        return ask(method, arguments, self.destination, timeout=self.timeout) or None
