"""The worker itself, as events: it is there, it still is, it leaves."""

from __future__ import annotations

import os
import platform
import threading

from django_tasks.service import Loop, Service
from django_tasks.version import __version__
from django_tasks.worker.board import ALIVE, Board

from .sender import EventSender

#: Seconds between heartbeats. A monitor that hears nothing for twice as long takes the worker for dead.
HEARTBEAT_INTERVAL = 2.0
SOFTWARE = {"sw_ident": "django_tasks", "sw_ver": __version__, "sw_sys": platform.system()}


class Heart(Service):
    def __init__(self, sender: EventSender, board: Board) -> None:
        self.sender = sender
        self.board = board
        self.loop = Loop(self.turn, name="heart", interval=HEARTBEAT_INTERVAL)
        #: How many tasks each task process has run, by its owner's name, which no other process ever has,
        self.done: dict[str, int] = {}
        #: and all those together that are gone.
        self.done_by_gone = 0
        # Whoever asks for a heartbeat is answered in another thread.
        self._counting = threading.Lock()

    def turn(self) -> None:
        # Old heartbeats are of no use to anybody.
        if not self.sender.line.is_down:
            self.beat()

    def beat(self, type: str = "worker-heartbeat") -> None:
        self.sender.send(
            type,
            freq=HEARTBEAT_INTERVAL,
            active=sum(len(seat.running()) for seat in self.board.seats if seat.state == ALIVE),
            processed=self.processed(),
            loadavg=[round(load, 2) for load in os.getloadavg()],
            **SOFTWARE,
        )

    def processed(self) -> int:
        """Tasks run since the worker began, also by processes that are gone."""
        with self._counting:
            done = {seat.owner: seat.done for seat in self.board.seats if seat.done}
            self.done_by_gone += sum(self.done[owner] for owner in self.done.keys() - done)
            self.done = done
            return self.done_by_gone + sum(done.values())

    def start(self) -> None:
        self.beat("worker-online")
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()
        self.beat("worker-offline")
