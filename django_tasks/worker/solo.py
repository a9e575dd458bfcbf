"""A worker in a single process, for debuggers: the same parts in threads, and the tasks in the main thread."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import uuid

from django.db import connections

from django_tasks import signals
from django_tasks.service import Loop, running

from . import health, sqlite
from .board import DEAD, Board
from .health import Health
from .housekeeper import Housekeeper
from .options import WorkerOptions
from .probes import Probes
from .process import TaskProcess
from .systemd import Systemd


def run(options: WorkerOptions, listener: socket.socket | None = None) -> int:
    """Until SIGTERM or SIGINT, or in a burst until the queues are empty; the exit code."""
    options = dataclasses.replace(options, processes=1)
    connections.close_all()
    sqlite.prepare_connections()
    board = Board(1, options.threads, uuid.uuid4().hex, options.queues, coroutines=options.concurrency)
    seat = board.seats[0]
    seat.take(1)
    housekeeper = Housekeeper(options=options, board=board, pid=os.getpid())
    process = TaskProcess(options=options, seat=seat)
    with running([*housekeeper.loops, _teller(board, process, listener)]):
        signals.worker_ready.tell(options.full_name)
        process.run(obey_interrupt=True)
    seat.mark(DEAD)
    housekeeper.say_goodbye()
    signals.worker_shutdown.tell(options.full_name)
    return 0


def _teller(board: Board, process: TaskProcess, listener: socket.socket | None) -> Loop:
    """Says how the worker is, as the supervisor does where there is one."""

    def liveness() -> Health:
        return health.liveness(board)

    def readiness() -> Health:
        return health.readiness(board, wanted=1, is_ending=process.consumer.ending)

    systemd = Systemd.from_environment()
    probes = Probes(listener, {"/livez": liveness, "/readyz": readiness})

    def turn() -> float:
        if process.consumer.ending:
            board.ending.begin()
            systemd.tell_of_end()
        elif board.ending.is_wanted:
            os.kill(os.getpid(), signal.SIGTERM)  # what runs may take its time here, whoever asks
        systemd.tell(live=liveness(), ready=readiness())
        return max(0.01, min(1.0, systemd.pause()))

    def wait(seconds: float) -> None:
        probes.attend(loop.wakeup.wait(seconds, probes.fds))

    def close() -> None:
        systemd.tell_of_end()
        probes.close()
        systemd.close()

    loop = Loop(turn, name="health", interval=1.0, wait=wait, on_end=close)
    return loop
