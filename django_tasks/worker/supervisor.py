"""The supervisor: forks the worker's processes and watches them. No database, no threads, no user code."""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable
from typing import NoReturn

from django.db import connections

from django_tasks import backoff, clock
from django_tasks.service import Loop, Wakeup

from . import sqlite
from .board import CUT, DEAD, FREE, OVERDUE, TERMINATED, Board, Seat
from .housekeeper import Housekeeper
from .options import WorkerOptions
from .process import TaskProcess
from .progress import Progress

logger = logging.getLogger("django_tasks.worker")

#: Seats for dead processes that wait to be rescued, beside those of the living. When they are all taken (the database
#: is away, or every task kills its process) no new process is started until one is free.
SPARE_SEATS = 8
#: A process that lived less than this many seconds and ran nothing died of its start: the next one waits a little.
SHORT_LIFE = 1.0
#: What the housekeeper is given, in seconds, to rescue the last tasks at the end.
HOUSEKEEPER_GRACE = 15.0


class Phase(enum.IntEnum):
    """A worker's life; it only goes forward."""

    RUNNING = 0
    #: The task processes were asked to end.
    ENDING = 1
    #: They were killed, or have ended; the housekeeper tidies up.
    TIDYING = 2
    OVER = 3


class Supervisor:
    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self.board = Board(options.processes + SPARE_SEATS, options.slots, uuid.uuid4().hex)
        self.wakeup = Wakeup()
        self.loop = Loop(self.turn, name="supervisor", interval=1.0, wakeup=self.wakeup)
        self.progress = Progress(self.board) if options.progress else None
        self.phase = Phase.RUNNING
        self.deadline = float("inf")
        self.stops_asked = 0
        self.stops_answered = 0
        self.seats: dict[int, Seat] = {}
        self.born: dict[int, float] = {}
        self.housekeeper: int | None = None
        self.serial = 0
        self.wanted = options.processes
        self.early_deaths = 0
        self.next_birth = 0.0
        self.exit_code = 0

    def run(self) -> int:
        """Until asked to stop, or in a burst until the queues are empty; the exit code."""
        # Nothing of the parent's may be shared over a fork: two processes on one socket would mix their answers.
        connections.close_all()
        sqlite.prepare_connections()
        self.lifeline, self.lifeline_end = os.pipe()
        self.obey_signals()
        self.loop.run()
        return self.exit_code

    def obey_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Written by the C handler, so the loop wakes up whatever it was waiting for.
        signal.set_wakeup_fd(self.wakeup.ringer, warn_on_full_buffer=False)

    def ask_to_stop(self, *_: object) -> None:
        self.stops_asked += 1

    # -- one turn

    def turn(self) -> float | None:
        self.bury_dead()
        self.answer_stops()
        if self.progress is not None:
            self.progress.show()
        match self.phase:
            case Phase.RUNNING:
                self.fill()
            case Phase.ENDING if self.housekeeper is None:
                self.hire_housekeeper()  # somebody must rescue what is cut
            case Phase.ENDING | Phase.TIDYING:
                self.advance()
        self.enforce_limits()
        return self.until_next()

    def bury_dead(self) -> None:
        """Take note of every child that ended since the last turn."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.note_end(pid, os.waitstatus_to_exitcode(status))

    def note_end(self, pid: int, code: int) -> None:
        if pid == self.housekeeper:
            self.housekeeper = None
            if self.phase < Phase.TIDYING:
                logger.error("The housekeeper %s; a new one is started", _ending(code))
                self.count_early_death(pid, did_work=False)
            return
        seat = self.seats.pop(pid)
        if code == 0:
            seat.mark(FREE)  # it settled or gave back all it had claimed before it ended
            self.wanted -= self.options.burst
        elif self.phase == Phase.ENDING and clock.monotonic() >= self.deadline:
            seat.mark(CUT)
        else:
            seat.mark(DEAD)
            running = ", ".join(task.id for task in seat.running()) or "no task"
            if not any(task.verdict for task in seat.running()):
                logger.error("Task process %d %s while it ran %s", pid, _ending(code), running)
                self.count_early_death(pid, did_work=bool(seat.done or seat.running()))

    def count_early_death(self, pid: int, *, did_work: bool) -> None:
        """One that ran a task died of it, and a task may do so a few times only; one that did not may die for ever."""
        lived = clock.monotonic() - self.born.pop(pid, 0.0)
        self.early_deaths = self.early_deaths + 1 if lived < SHORT_LIFE and not did_work else 0
        if self.early_deaths > 1:
            self.next_birth = clock.monotonic() + backoff.delay(self.early_deaths)

    def answer_stops(self) -> None:
        """The first request: end in peace. The second: now."""
        if self.stops_asked == self.stops_answered:
            return
        self.stops_answered = self.stops_asked
        if self.phase == Phase.RUNNING and self.stops_asked == 1:
            logger.warning(
                "Ending: running tasks have %g s; a second signal ends them now", self.options.grace
            )
            self.end_tasks()
        elif self.phase <= Phase.ENDING:
            self.end_tasks()
            self.deadline = clock.monotonic()

    def end_tasks(self) -> None:
        if self.phase == Phase.RUNNING:
            self.phase = Phase.ENDING
            self.deadline = clock.monotonic() + self.options.grace
            for pid in self.seats:
                _send(pid, signal.SIGTERM)

    def fill(self) -> None:
        """Start what is missing: the housekeeper first, for nothing is claimed without its lease."""
        if clock.monotonic() < self.next_birth:
            return
        if self.housekeeper is None:
            self.hire_housekeeper()
        while len(self.seats) < self.wanted and (seat := self.board.free_seat()) is not None:
            self.start_process(seat)
        if not self.wanted:
            self.end_tasks()  # a burst: each process found the queues empty and ended

    def hire_housekeeper(self) -> None:
        self.housekeeper = self.fork(self.keep_house)
        self.born[self.housekeeper] = clock.monotonic()

    def start_process(self, seat: Seat) -> None:
        self.serial += 1
        seat.take(self.serial)
        pid = self.fork(lambda: TaskProcess(options=self.options, seat=seat, lifeline=self.lifeline).run())
        self.seats[pid] = seat
        self.born[pid] = clock.monotonic()

    def enforce_limits(self) -> None:
        """Kill the processes that run a task past its time limit, or one that somebody terminated."""
        now = clock.monotonic()
        for pid, seat in self.seats.items():
            if any(task.deadline <= now or self.board.is_condemned(task.id) for task in seat.running()):
                self.kill_guilty(pid, seat)

    def kill_guilty(self, pid: int, seat: Seat) -> None:
        """Look once more while the process stands still: it may have ended that task and begun an innocent one."""
        _send(pid, signal.SIGSTOP)
        guilty = False
        for task in seat.running():
            if self.board.is_condemned(task.id):
                seat.judge(task.slot, TERMINATED)
                logger.warning("Task %s is terminated: killing process %d", task.id, pid)
            elif task.deadline <= clock.monotonic():
                seat.judge(task.slot, OVERDUE)
                logger.error(
                    "Task %s runs longer than its %g s: killing process %d", task.id, task.limit, pid
                )
            else:
                continue
            guilty = True
        _send(pid, signal.SIGKILL if guilty else signal.SIGCONT)

    def advance(self) -> None:
        """Towards the end: tasks first, then the housekeeper, who rescues what they left."""
        now = clock.monotonic()
        if self.phase == Phase.ENDING and self.seats and now >= self.deadline:
            for pid, seat in self.seats.items():
                logger.warning(
                    "Cutting off process %d: %s", pid, ", ".join(task.id for task in seat.running())
                )
                _send(pid, signal.SIGKILL)
        elif self.phase == Phase.ENDING and not self.seats:
            self.phase = Phase.TIDYING
            self.deadline = now + HOUSEKEEPER_GRACE
            if self.housekeeper is not None:
                _send(self.housekeeper, signal.SIGTERM)
        elif self.phase == Phase.TIDYING and self.housekeeper is not None and now >= self.deadline:
            logger.error("The housekeeper does not end; what it leaves is rescued when the lease is over")
            _send(self.housekeeper, signal.SIGKILL)
            self.exit_code = 1
        if self.phase == Phase.TIDYING and self.housekeeper is None:
            self.phase = Phase.OVER
            if self.progress is not None:
                self.progress.close()
            self.loop.request_stop()

    def until_next(self) -> float:
        """Seconds that may be slept if no child ends and no signal comes."""
        now = clock.monotonic()
        overdue = min(
            (task.deadline for seat in self.seats.values() for task in seat.running()), default=self.deadline
        )
        soon = min(self.deadline, overdue, self.next_birth if self.next_birth > now else self.deadline)
        busy = self.progress is not None or (self.phase == Phase.RUNNING and len(self.seats) < self.wanted)
        return max(0.01, min(0.1 if busy else 1.0, soon - now))

    # -- in the children

    def keep_house(self) -> None:
        Housekeeper(options=self.options, board=self.board, pid=os.getppid(), lifeline=self.lifeline).run()

    def fork(self, live: Callable[[], None]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self.be_child(live)
        return pid

    def be_child(self, live: Callable[[], None]) -> NoReturn:
        code = 1
        try:
            os.close(
                self.lifeline_end
            )  # or this process would keep its siblings from noticing the parent's death
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            live()
            code = 0
        except BaseException:
            logger.exception("Process %d failed", os.getpid())
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
