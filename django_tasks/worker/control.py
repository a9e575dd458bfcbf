"""Control: what operators ask of a running worker, read from the database."""

from __future__ import annotations

import logging
import os
import signal

from django_tasks import conf
from django_tasks.models import TaskResult, Worker

from .board import ALIVE, Board

logger = logging.getLogger("django_tasks.worker")


class Control:
    """`supervisor` is the process to wake when it has something to do."""

    def __init__(self, *, board: Board, supervisor: int) -> None:
        self.board = board
        self.supervisor = supervisor
        self.rates: dict[str, str | float | None] = {}

    def turn(self) -> None:
        self.terminate()
        self.set_rate_limits()

    def terminate(self) -> None:
        """Condemn what is running here and somebody wants stopped."""
        seats = [seat for seat in self.board.seats if seat.state == ALIVE]
        running = {task.id for seat in seats for task in seat.running()}
        if not running:
            return
        rows = TaskResult.objects.using(conf.current().DATABASE)
        for id in running.intersection(rows.to_terminate([seat.owner for seat in seats])):
            self.board.condemn(id)
            os.kill(self.supervisor, signal.SIGCHLD)

    def set_rate_limits(self) -> None:
        workers = Worker.objects.using(conf.current().DATABASE)
        rates = workers.filter(id=self.board.worker_id).values_list("rate_limits", flat=True).first() or {}
        for task, rate in rates.items():
            if task not in self.rates or self.rates[task] != rate:
                self.board.rate_limits.set(task, rate)
                logger.warning("Rate limit of %s is now %s", task, rate or "none")
        self.rates = rates
