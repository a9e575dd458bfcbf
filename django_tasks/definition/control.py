"""`app.control`: what an operator asks of the running workers, with Celery's names."""

from __future__ import annotations

from collections.abc import Iterable

from django_tasks import conf, registry
from django_tasks.handlers import resolve
from django_tasks.results.handler import results

from .rates import per_second


class Control:
    def revoke(self, task_id: str | Iterable[str], terminate: bool = False, signal: str | None = None) -> int:
        """Make sure that tasks which have not begun never do; how many these were.

        It holds with every worker down, and across restarts: it is a state of the task. With `terminate` those that
        have begun are stopped, too, within about a second (see `AsyncResult.revoke`).
        """
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        return results().revoke_many(ids, terminate=terminate)

    def rate_limit(
        self, task_name: str, rate_limit: str | float | None, destination: Iterable[str] | None = None
    ) -> int:
        """Change how often a task may begin in each running worker, or those named; how many these are.

        It is heard within a second or two, and lasts until the worker ends. `None` or 0 lifts a limit.
        Raises `NotRegistered` for an unknown task and `ValueError` for what is no rate.
        """
        name = registry.find(task_name).name
        per_second(rate_limit)
        workers = resolve("django_tasks.models.Worker").objects.using(conf.current().DATABASE)
        names = None if destination is None else set(destination)
        return int(workers.set_rate_limit(name, rate_limit, names))
