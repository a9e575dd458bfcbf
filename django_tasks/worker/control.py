"""Control: what operators ask of a running worker, read from the database and answered there."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Collection, Sequence

from django.db import InterfaceError, OperationalError, connections

from django_tasks import clock, conf
from django_tasks.models import WorkerCommand
from django_tasks.models.command import WorkerCommandQuerySet
from django_tasks.models.wanted import wanted
from django_tasks.models.watch import COMMANDS, Watch, watch
from django_tasks.service import Wakeup

from . import commands
from .board import ALIVE, Board
from .commands import Addressee
from .options import WorkerOptions

logger = logging.getLogger("django_tasks.worker")

#: The longest pause, in seconds; after that it is listened again.
LISTEN_AGAIN = 1.0
#: Seconds between looks where the database gives no sign: whoever asks waits for a second by default.
LOOK_UNTOLD = 0.6
#: Seconds between looks at the least: each commit of anybody is a sign on SQLite.
SHORTEST_PAUSE = 0.1


class Control:
    """`supervisor` is the process to wake when it has something to do."""

    def __init__(self, *, board: Board, options: WorkerOptions, supervisor: int) -> None:
        self.board = board
        self.supervisor = supervisor
        self.addressee = Addressee(
            name=options.full_name,
            options=options,
            board=board,
            supervisor=supervisor,
            started=clock.monotonic(),
        )
        self.wakeup = Wakeup()
        self.looked = float("-inf")
        #: What was done and could not be answered yet: the database went away, and doing it again may do harm.
        self.answers: dict[int, object] = {}
        self._watch: Watch | None = None

    @property
    def alias(self) -> str:
        return conf.current().DATABASE

    @property
    def rows(self) -> WorkerCommandQuerySet:
        return WorkerCommand.objects.using(self.alias)

    def turn(self) -> float:
        if self.watch.changed() or clock.monotonic() - self.looked > self.watch.patience:
            self.watch.found(self.look())
            self.looked = clock.monotonic()
        if not self.watch.gives_signs:
            return LOOK_UNTOLD
        return max(SHORTEST_PAUSE, min(self.watch.pause, LISTEN_AGAIN))

    def look(self) -> bool:
        """Do all that is wanted now. True if there was anything to answer."""
        running = self.running()
        found = wanted(self.alias, self.board.worker_id, sorted(set(running.values())))
        self.heed_pauses(found.paused)
        self.terminate(found.terminate.intersection(running))
        if found.has_commands:
            self.answer(self.rows.asked_of(self.board.worker_id))
        return found.has_commands

    def running(self) -> dict[str, str]:
        """The tasks that run here, each with the process that owns it."""
        seats = [seat for seat in self.board.seats if seat.state == ALIVE]
        return {task.id: seat.owner for seat in seats for task in seat.running()}

    def heed_pauses(self, paused: Collection[str]) -> None:
        for queue in self.board.pauses.set(paused):
            logger.warning("Queue %s is %s", queue, "paused" if queue in paused else "served again")

    def terminate(self, ids: Collection[str]) -> None:
        """Condemn what is running here and somebody wants stopped."""
        for id in ids:
            self.board.condemn(id)
            os.kill(self.supervisor, signal.SIGCHLD)

    def answer(self, asked: Sequence[WorkerCommand] | WorkerCommandQuerySet) -> None:
        for command in asked:
            if command.pk not in self.answers:
                self.answers[command.pk] = self.run(command)
            self.rows.answer(command.pk, self.answers[command.pk])
            del self.answers[command.pk]

    def run(self, command: WorkerCommand) -> object:
        try:
            return commands.run(command.method, command.arguments, self.addressee)
        except (OperationalError, InterfaceError):
            raise  # the database is away: it is done when that is back
        except Exception as error:  # noqa: BLE001 - whoever asks such a thing is told, and others get their turn
            logger.warning("The command %s could not be obeyed: %s", command.method, error)
            return {"error": str(error) or repr(error)}

    # -- between turns

    @property
    def watch(self) -> Watch:
        connection = connections[self.alias]
        if self._watch is None or not self._watch.is_of(connection):
            self._watch = watch(connection, COMMANDS)
        return self._watch

    def wait(self, seconds: float) -> None:
        """Until somebody may want something."""
        heard = self.wakeup.wait(seconds, [] if self.watch.fd is None else [self.watch.fd])
        if not heard:
            self.watch.found(False)
