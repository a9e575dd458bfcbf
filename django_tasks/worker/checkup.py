"""How the workers of a host are, as their rows in the database tell: for `manage.py workerhealth`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import Worker

from .health import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    #: Those that live.
    workers: Sequence[Worker]
    health: Health


def check_up(hostname: str, name: str | None, *, is_life_enough: bool) -> Checkup:
    """The workers of a host, or only that of a name: each lives, and (unless life is enough) takes on tasks."""
    rows = Worker.objects.using(conf.current().DATABASE)
    now = clock.to_storage(clock.database_now(connections[rows.db]))
    mine = rows.of_host(hostname, name)
    living = list(mine.alive(now).order_by("name", "started_at"))
    reasons = []
    if not living:
        reasons.append(f"No worker {'' if name is None else f'called {name} '}lives on {hostname}.")
    # Whoever was killed and started again left a row that nobody has cleared yet.
    replaced = {worker.name for worker in living}
    reasons += [
        f"{worker.name} (process {worker.pid}) has let its lease pass."
        for worker in mine.lapsed(now).exclude(name__in=replaced)
    ]
    if not is_life_enough:
        reasons += [
            f"{worker.name} (process {worker.pid}): {worker.trouble}" for worker in living if worker.trouble
        ]
    return Checkup(workers=living, health=Health(reasons=tuple(reasons)))
