"""`app.control`: what an operator asks of the running workers and of the queues, with Celery's names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import connections

from django_tasks import clock, conf, registry
from django_tasks.brokers import queues
from django_tasks.handlers import later, resolve
from django_tasks.results.handler import results

from .inspect import Inspect, ask
from .rates import per_second

_tell: Callable[..., int] = later("django_tasks.definition.asking.tell")
_purge: Callable[[str], int] = later("django_tasks.dispatch.purging.purge")


class Control:
    inspect = Inspect

    # -- workers

    def ping(self, destination: Iterable[str] | None = None, timeout: float = 1.0) -> list[dict[str, Any]]:
        """Who is there: `[{"worker@host": {"ok": "pong"}}]`, as soon as all have answered."""
        return self._answers("ping", {}, destination, timeout)

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Iterable[str] | None = None,
        reply: bool = False,
        timeout: float = 1.0,
    ) -> list[dict[str, Any]] | None:
        """Any command, by its name; with `reply` what they answer within `timeout` seconds."""
        if reply:
            return self._answers(command, arguments or {}, destination, timeout)
        _tell(command, arguments or {}, destination)
        return None

    def _answers(
        self,
        command: str,
        arguments: Mapping[str, Any],
        destination: Iterable[str] | None,
        timeout: float,
    ) -> list[dict[str, Any]]:
        answers = ask(command, arguments, destination, timeout=timeout)
        return [{name: answer} for name, answer in answers.items()]

    def shutdown(self, destination: Iterable[str] | None = None) -> int:
        """End all workers, or those named, as SIGTERM does; how many these are."""
        return _tell("shutdown", {}, destination)

    def drain(self, destination: Iterable[str] | None = None) -> int:
        """Have all workers, or those named, take nothing more; how many these are.

        Each ends when what it runs has ended, however long that takes. A `shutdown` or signal after it cuts that short.
        """
        return _tell("drain", {}, destination)

    def rate_limit(
        self, task_name: str, rate_limit: str | float | None, destination: Iterable[str] | None = None
    ) -> int:
        """Change how often a task may begin in each running worker, or those named; how many these are.

        It is heard within about a second, and lasts until the worker ends. `None` or 0 lifts a limit.
        Raises `NotRegistered` for an unknown task and `ValueError` for what is no rate.
        """
        name = registry.find(task_name).name
        per_second(rate_limit)
        return _tell("rate_limit", {"task_name": name, "rate_limit": rate_limit}, destination)

    # -- tasks

    def revoke(self, task_id: str | Iterable[str], terminate: bool = False, signal: str | None = None) -> int:
        """Make sure that tasks which have not begun never do; how many these were.

        It holds with every worker down, and across restarts: it is a state of the task. With `terminate` those that
        have begun are stopped, too, within about a second (see `AsyncResult.revoke`).
        """
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        return results().revoke_many(ids, terminate=terminate)

    def terminate(self, task_id: str | Iterable[str], signal: str | None = None) -> int:
        """`revoke` with `terminate`."""
        return self.revoke(task_id, terminate=True)

    # -- queues

    def purge(self, queue: str | None = None) -> int:
        """Throw away what is ready in a queue, or in all of them; how many messages these were.

        Their tasks end as REVOKED, and so does what was to come after them. What is due later stays.
        """
        names = queues.declared() if queue is None else (queues.check(queue),)
        return sum(_purge(name) for name in names)

    discard_all = purge

    def pause_queue(
        self, name: str, reason: str = "", until: dt.datetime | None = None, by: str = ""
    ) -> bool:
        """Have no worker take from a queue until it is resumed, or that moment has come; what runs goes on.

        False if it was paused already. It holds across restarts, and sending to the queue goes on as ever. `by` is
        shown with the reason: who wants it so.
        """
        return bool(self._pauses().pause(queues.check(name), reason, until, by))

    def resume_queue(self, name: str) -> bool:
        """Have a queue served again. False if it was not paused."""
        return bool(self._pauses().resume(name))

    def paused_queues(self) -> dict[str, str]:
        """The paused queues, each with the reason that was given."""
        pauses = self._pauses()
        now = clock.to_storage(clock.database_now(connections[pauses.db]))
        return dict(pauses.in_force(now).order_by("queue").values_list("queue", "reason"))

    def _pauses(self) -> Any:
        return resolve("django_tasks.models.QueuePause").objects.using(conf.current().DATABASE)
