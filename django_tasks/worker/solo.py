"""A worker in a single process, for debuggers: the same parts in threads, and the tasks in the main thread."""

from __future__ import annotations

import dataclasses
import os
import uuid

from django.db import connections

from django_tasks import signals
from django_tasks.service import running

from . import sqlite
from .board import DEAD, Board
from .housekeeper import Housekeeper
from .options import WorkerOptions
from .process import TaskProcess


def run(options: WorkerOptions) -> int:
    """Until SIGTERM or SIGINT, or in a burst until the queues are empty; the exit code."""
    options = dataclasses.replace(options, processes=1)
    connections.close_all()
    sqlite.prepare_connections()
    board = Board(1, options.slots, uuid.uuid4().hex)
    seat = board.seats[0]
    seat.take(1)
    housekeeper = Housekeeper(options=options, board=board, pid=os.getpid())
    process = TaskProcess(options=options, seat=seat)
    with running(housekeeper.loops):
        signals.worker_ready.tell(options.full_name)
        process.run(obey_interrupt=True)
    seat.mark(DEAD)
    housekeeper.say_goodbye()
    signals.worker_shutdown.tell(options.full_name)
    return 0
