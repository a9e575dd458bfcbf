"""A task process: a consumer, and a runner that calls the tasks."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from django_tasks import conf, signals
from django_tasks.brokers.handler import broker
from django_tasks.execution import prints
from django_tasks.service import Service, Wakeup, running

from . import stops
from .board import Seat
from .consumer import Consumer
from .events.of_tasks import TaskEvents
from .events.sender import EventSender
from .options import WorkerOptions
from .retirement import Retirement
from .runners.main_thread import MainThreadRunner
from .runners.runner import Runner
from .runners.threads import ThreadsRunner

logger = logging.getLogger("django_tasks.worker")


class TaskProcess:
    """Runs tasks in this process until told to end. `lifeline` is a descriptor that closes when the parent dies."""

    def __init__(self, *, options: WorkerOptions, seat: Seat, lifeline: int | None = None) -> None:
        self.options = options
        self.wakeup = Wakeup()
        self.is_told = False
        kind: Callable[..., Runner] = MainThreadRunner if options.threads == 1 else ThreadsRunner
        self.runner = kind(
            seat=seat,
            slots=options.threads,
            concurrency=options.concurrency,
            done=self.wakeup,
            retirement=Retirement(options, seat),
        )
        self.consumer = Consumer(
            options=options,
            seat=seat,
            runner=self.runner,
            wakeup=self.wakeup,
            lifeline=lifeline,
            on_orphaned=self.end_at_once,
        )
        self.events = _events(options, seat) if options.events else []
        seat.sit(os.getpid())

    def run(self, *, obey_interrupt: bool = False) -> None:
        """`obey_interrupt`: end on SIGINT, too. In a family of processes that is the supervisor's to answer."""
        self.obey_signals(obey_interrupt)
        signals.worker_process_init.tell(self.options.full_name)
        # Alone in its process it is looked at by a debugger, whose prompt is no log line.
        catches_prints = conf.current().WORKER_REDIRECT_STDOUTS and not obey_interrupt
        with prints.in_log() if catches_prints else nullcontext(), running(self.events):
            self.consumer.start()
            self.runner.run()
            self.runner.event_loop.stop()
            self.consumer.stop()
        signals.worker_process_shutdown.tell(self.options.full_name, pid=os.getpid(), exitcode=0)

    def obey_signals(self, obey_interrupt: bool) -> None:
        """SIGTERM: end in peace, when what runs has ended."""
        signal.signal(signal.SIGTERM, self.on_stop)
        signal.signal(signal.SIGINT, self.on_stop if obey_interrupt else signal.SIG_IGN)
        signal.set_wakeup_fd(self.wakeup.ringer, warn_on_full_buffer=False)
        stops.hear()

    def on_stop(self, number: int, _: object) -> None:
        self.consumer.request_end()
        self.tell_of_end(signal.Signals(number).name)

    def tell_of_end(self, why: str) -> None:
        """In a thread, because a signal handler runs in the middle of whatever a task is doing."""
        if signals.worker_shutting_down.receivers and not self.is_told:
            self.is_told = True
            about = {"sig": why, "how": "Warm", "exitcode": 0}
            tell = partial(signals.worker_shutting_down.tell, self.options.full_name, **about)
            threading.Thread(target=tell, name="shutting-down", daemon=True).start()

    def end_at_once(self) -> None:
        """The supervisor is gone, and with it everybody who would notice that this process hangs or dies.

        What is finished is recorded and what has not begun is given back; the housekeeper sees to what is cut.
        """
        logger.error("The supervisor died; process %d ends", os.getpid())
        try:
            self.consumer.claims.settle()
            self.consumer.claims.give_back_unstarted()
        finally:
            os._exit(1)


def _events(options: WorkerOptions, seat: Seat) -> list[Service]:
    shared = seat.board.events
    sender = EventSender(
        connect=broker().connect,
        hostname=options.full_name,
        pid=shared.pid,
        clock=shared.clock(seat.board.seats.index(seat) + 1),
    )
    return [sender, TaskEvents(sender, shared)]
