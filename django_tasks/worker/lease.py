"""The lease: how the fleet knows that this worker is alive, and how the worker knows that the fleet believes it."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import Worker
from django_tasks.models.worker import WorkerQuerySet
from django_tasks.version import __version__

from .board import Board
from .options import WorkerOptions

logger = logging.getLogger("django_tasks.worker")


class Lease:
    """Renewed in database time every third of its span. What is claimed by this worker is safe while it runs."""

    def __init__(self, *, board: Board, options: WorkerOptions, pid: int) -> None:
        self.board = board
        self.options = options
        self.pid = pid
        self.span = conf.current().WORKER_LEASE
        self.renewed = float("-inf")
        self.unbroken_since = float("inf")

    @property
    def rows(self) -> WorkerQuerySet:
        return Worker.objects.using(conf.current().DATABASE)

    def turn(self) -> float:
        # Taken before the write: the lease we believe in never outlasts the one the others see.
        here = clock.monotonic()
        until = clock.to_storage(
            clock.database_now(connections[self.rows.db]) + dt.timedelta(seconds=self.span)
        )
        if not self.rows.renew(self.board.worker_id, until):
            self.open(until)
        self.board.extend_lease(here + self.span * 5 / 6)
        if here - self.renewed > self.span * 2 / 3:
            self.unbroken_since = here
        self.renewed = here
        return self.span / 3

    def may_judge(self) -> bool:
        """Has this worker seen the database for so long that the others had their chance to renew?

        After an outage every lease is over, and whoever comes back first would take all others for dead.
        """
        return clock.monotonic() - self.unbroken_since > self.span

    def open(self, until: dt.datetime) -> None:
        """Appear in the table: at the start, and again after others gave us up and took our tasks."""
        options = self.options
        _, created = self.rows.update_or_create(
            id=self.board.worker_id,
            defaults={"lease_until": until, "lost_at": None},
            create_defaults={
                "name": options.full_name,
                "hostname": options.hostname,
                "pid": self.pid,
                "queues": ", ".join(options.queues),
                "processes": options.processes,
                "threads": options.threads,
                "version": __version__,
                "started_at": clock.to_storage(clock.now()),
                "lease_until": until,
            },
        )
        if not created:
            logger.warning(
                "This worker had been given up as lost; what it was running then is not its own any more"
            )

    def end(self) -> None:
        """Leave the table. What was claimed must have been rescued before."""
        self.rows.filter(id=self.board.worker_id).delete()
