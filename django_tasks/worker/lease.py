"""The lease: how the fleet knows that this worker is alive, and how the worker knows that the fleet believes it."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Mapping
from typing import Any

from django.db import connections

from django_tasks import clock, conf
from django_tasks.models import Sight, Worker
from django_tasks.models.worker import WorkerQuerySet
from django_tasks.version import __version__

from . import memory
from .board import ALIVE, Board
from .options import WorkerOptions

logger = logging.getLogger("django_tasks.worker")


class Lease:
    """Renewed in database time every third of its span. What is claimed by this worker is safe while it runs."""

    def __init__(self, *, board: Board, options: WorkerOptions, pid: int) -> None:
        self.board = board
        self.options = options
        self.pid = pid
        self.span = conf.current().WORKER_LEASE
        #: A time without renewals that is longer, in seconds, is an outage of the database.
        self.longest_gap = self.span * 2 / 3
        self.renewed = float("-inf")
        self.seen = 0.0
        #: Since when the fleet has seen the database, as it was last told.
        self.since: dt.datetime | None = None

    @property
    def rows(self) -> WorkerQuerySet:
        return Worker.objects.using(conf.current().DATABASE)

    def turn(self) -> float:
        # Taken before the write: the lease we believe in never outlasts the one the others see.
        here = clock.monotonic()
        now = clock.database_now(connections[self.rows.db])
        self.since = Sight.objects.using(self.rows.db).keep(
            clock.to_storage(now), dt.timedelta(seconds=self.longest_gap), self.since
        )
        until = clock.to_storage(now + dt.timedelta(seconds=self.span))
        lease: dict[str, Any] = {
            "lease_until": until,
            "renewed_at": clock.to_storage(now),
            "busy": self.board.busy,
            "memory": self.memory(),
        }
        if not self.rows.renew(self.board.worker_id, lease):
            self.open(lease)
        self.board.extend_lease(here + self.span * 5 / 6)
        self.renewed, self.seen = here, (now - clock.from_storage(self.since)).total_seconds()
        return self.span / 3

    def memory(self) -> int | None:
        """Bytes that the worker's processes have, each with what it shares with the others; `None` if nobody tells."""
        if not memory.is_known():
            return None
        pids = {self.pid, os.getpid(), *(seat.pid for seat in self.board.seats if seat.state == ALIVE)}
        return 1024 * sum(map(memory.resident, pids))

    def may_judge(self) -> bool:
        """Was the database there for so long that the others had their chance to renew?

        After an outage every lease is over, and whoever comes back first would take all others for dead. Who has just
        come believes what the fleet has seen: else one whose workers are all killed before they have lived for a lease
        would never take care of what they leave.
        """
        since_renewal = clock.monotonic() - self.renewed
        return since_renewal <= self.longest_gap and self.seen + since_renewal > self.span

    def open(self, lease: Mapping[str, Any]) -> None:
        """Appear in the table: at the start, and again after others gave us up and took our tasks."""
        options = self.options
        self.rows.update_or_create(
            id=self.board.worker_id,
            defaults={**lease, "lost_at": None, "recovered": 0},
            create_defaults={
                "name": options.full_name,
                "hostname": options.hostname,
                "pid": self.pid,
                "queues": ", ".join(options.queues),
                "processes": options.processes,
                "threads": options.threads,
                "version": __version__,
                "started_at": clock.to_storage(clock.now()),
                **lease,
            },
        )
        # Not whether there was a row: one that slept for days finds that deleted, too.
        if self.board.had_lease():
            # Before the lease is extended: until then nothing begins.
            self.board.void_claims()
            logger.warning(
                "This worker had been given up as lost; what it was running then is not its own any more, "
                "and its task processes are replaced"
            )

    def end(self) -> None:
        """Leave the table. What was claimed must have been rescued before."""
        self.rows.filter(id=self.board.worker_id).delete()
