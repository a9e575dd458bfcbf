"""The supervisor: forks the worker's processes and watches them. No database, no threads, no user code."""

from __future__ import annotations

import contextlib
import enum
import gc
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from typing import Final, NoReturn

from django.db import connections

from django_tasks import backoff, clock
from django_tasks.brokers.handler import broker
from django_tasks.service import Loop, Wakeup

from . import health, memory, sqlite, stops
from .board import CUT, DEAD, FREE, OVERDUE, OVERSIZED, TERMINATED, Board, Seat
from .health import Health
from .housekeeper import Housekeeper
from .options import WorkerOptions
from .probes import Probes
from .process import TaskProcess
from .progress import Progress
from .systemd import Systemd

logger = logging.getLogger("django_tasks.worker")

#: Seats for dead processes that wait to be rescued, beside those of the living. When they are all taken (the database
#: is away, or every task kills its process) no new process is started until one is free.
SPARE_SEATS = 8
#: A process that lived less than this many seconds and ran nothing died of its start: the next one waits a little.
SHORT_LIFE = 1.0
#: How fast memory can be filled, in kB a second: before it is exceeded at this pace, a limit is looked at again,
FASTEST_GROWTH = 1_000_000.0
#: but not sooner than after so many seconds.
SHORTEST_LOOK = 0.02
#: The exit code of a child whose life came to its end. Not 0: that is anybody's `os._exit(0)`, with tasks claimed.
PEACE: Final = 100
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
    """`listener` is where it is asked how the worker is; without one it is not."""

    def __init__(self, options: WorkerOptions, listener: socket.socket | None = None) -> None:
        self.options = options
        self.board = Board(
            options.processes + SPARE_SEATS,
            options.threads,
            uuid.uuid4().hex,
            options.queues,
            coroutines=options.concurrency,
        )
        self.wakeup = Wakeup()
        self.loop = Loop(self.turn, name="supervisor", interval=1.0, wakeup=self.wakeup, wait=self.wait)
        self.probes = Probes(listener, {"/livez": self.liveness, "/readyz": self.readiness})
        self.systemd = Systemd.from_environment()
        self.progress = Progress(self.board) if options.progress else None
        self.phase = Phase.RUNNING
        self.deadline = float("inf")
        #: Processes that were killed as it had passed, and are still to be buried.
        self.cut: set[int] = set()
        self.stops_asked = 0
        self.stops_answered = 0
        self.seats: dict[int, Seat] = {}
        self.born: dict[int, float] = {}
        self.housekeeper: int | None = None
        self.serial = 0
        self.wanted = options.processes
        self.headroom = float("inf")
        self.early_deaths = 0
        self.next_birth = 0.0
        self.exit_code = 0

    def run(self) -> int:
        """Until asked to stop, or in a burst until the queues are empty; the exit code."""
        # Nothing of the parent's may be shared over a fork: two processes on one socket would mix their answers.
        connections.close_all()
        broker().close()
        sqlite.prepare_connections()
        self.lifeline, self.lifeline_end = os.pipe()
        self.obey_signals()
        # What is loaded by now is there for good. Children that looked through it for garbage would spend more on that
        # than on many a task, and would each have a copy of it.
        gc.freeze()
        self.loop.run()
        self.probes.close()
        self.systemd.close()
        return self.exit_code

    def obey_signals(self) -> None:
        for number in stops.STOPS:
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
        self.heed_drain()
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
        if self.systemd.listens:
            self.systemd.tell(live=self.liveness(), ready=self.readiness())
        return self.until_next()

    def wait(self, seconds: float) -> None:
        self.probes.attend(self.wakeup.wait(seconds, self.probes.fds))

    def bury_dead(self) -> None:
        """Take note of every child that ended since the last turn."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.note_end(pid, os.waitstatus_to_exitcode(status))

    def note_end(self, pid: int, code: int) -> None:
        lived = clock.monotonic() - self.born.pop(pid, 0.0)
        if pid == self.housekeeper:
            self.housekeeper = None
            if self.phase < Phase.TIDYING:
                logger.error("The housekeeper %s; a new one is started", _ending(code))
                self.count_early_death(lived, did_work=False)
            return
        seat = self.seats.pop(pid, None)
        if seat is None:
            return  # a task's own child that outlived it, and fell to us as the first process of a container
        if code == PEACE:
            seat.mark(FREE)  # it settled or gave back all it had claimed before it ended
            self.wanted -= self.options.burst and not seat.retires
        elif self.phase == Phase.ENDING and clock.monotonic() >= self.deadline:
            seat.mark(CUT)
            self.board.deaths.ring()
        else:
            seat.mark(DEAD)
            self.board.deaths.ring()
            running = ", ".join(task.id for task in seat.running()) or "no task"
            if not any(task.verdict for task in seat.running()):
                logger.error("Task process %d %s while it ran %s", pid, _ending(code), running)
                self.count_early_death(lived, did_work=bool(seat.done or seat.running()))

    def count_early_death(self, lived: float, *, did_work: bool) -> None:
        """One that ran a task died of it, and a task may do so a few times only; one that did not may die for ever."""
        self.early_deaths = self.early_deaths + 1 if lived < SHORT_LIFE and not did_work else 0
        if self.early_deaths > 1:
            self.next_birth = clock.monotonic() + backoff.delay(self.early_deaths)

    def answer_stops(self) -> None:
        """The first request: end in peace. The second: now."""
        if self.stops_asked == self.stops_answered:
            return
        self.stops_answered = self.stops_asked
        if self.phase <= Phase.ENDING and self.stops_asked == 1:
            self.end_tasks(within=self.options.grace)
            # Not before they were told: whoever reads it may rely on nothing being claimed any more.
            logger.warning(
                "Ending: running tasks have %g s; a second signal ends them now", self.options.grace
            )
        elif self.phase <= Phase.ENDING:
            self.end_tasks(within=0)

    def heed_drain(self) -> None:
        """Somebody may want this worker to end when what it runs has ended, and is in no hurry."""
        if self.phase == Phase.RUNNING and self.board.ending.is_wanted:
            self.end_tasks()
            logger.warning(
                "Draining: running tasks may take their time; a signal gives them %g s", self.options.grace
            )

    def end_tasks(self, within: float = float("inf")) -> None:
        """Have the task processes take nothing more and end, in so many seconds at the most."""
        self.deadline = clock.monotonic() + within
        if within < float("inf"):
            self.systemd.tell_of_end()  # who counts the seconds from then on; while it drains nobody does
        if self.phase == Phase.RUNNING:
            self.phase = Phase.ENDING
            self.board.ending.begin()
            for pid in self.seats:
                _send(pid, signal.SIGTERM)

    def fill(self) -> None:
        """Start what is missing: the housekeeper first, for nothing is claimed without its lease."""
        if clock.monotonic() < self.next_birth:
            return
        if self.housekeeper is None:
            self.hire_housekeeper()
        while self.at_work() < self.wanted and (seat := self.board.free_seat()) is not None:
            self.start_process(seat)
        if not self.wanted:
            self.end_tasks(
                within=self.options.grace
            )  # a burst: each process found the queues empty and ended
            self.advance()  # no child is left whose end would wake us for it

    def at_work(self) -> int:
        """How many processes take on tasks. Beside them there may be some that retire and run their last ones.

        In a burst these count until they have ended, so that somebody is left to take up what they may leave.
        """
        return sum(self.options.burst or not seat.retires for seat in self.seats.values())

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
        """Kill the processes that run a task past its time limit, one that somebody terminated, or grow too large."""
        now = clock.monotonic()
        self.headroom = float("inf")
        for pid, seat in self.seats.items():
            running = seat.running()
            if any(task.verdict for task in running):
                continue  # it was killed, and only has not been buried yet
            if any(task.deadline <= now or self.board.is_condemned(task.id) for task in running):
                self.kill_guilty(pid, seat)
            elif (most := self.options.max_memory) is not None:
                left = most - memory.resident(pid)
                self.headroom = min(self.headroom, max(left, 0))
                if left < 0 and running:
                    self.kill_oversized(pid, seat, most)

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

    def kill_oversized(self, pid: int, seat: Seat, most: int) -> None:
        """All that it runs is suspect. One that runs nothing replaces itself, see `Retirement`."""
        _send(pid, signal.SIGSTOP)
        suspects = seat.running() if memory.resident(pid) > most else []
        for task in suspects:
            seat.judge(task.slot, OVERSIZED)
        if suspects:
            logger.error(
                "Process %d has %d kB, more than --max-memory %d: killing it while it runs %s",
                pid,
                memory.resident(pid),
                most,
                ", ".join(task.id for task in suspects),
            )
        _send(pid, signal.SIGKILL if suspects else signal.SIGCONT)

    def advance(self) -> None:
        """Towards the end: tasks first, then the housekeeper, who rescues what they left."""
        now = clock.monotonic()
        if self.phase == Phase.ENDING and self.seats and now >= self.deadline:
            for pid in self.seats.keys() - self.cut:
                running = ", ".join(task.id for task in self.seats[pid].running())
                logger.warning("Cutting off process %d: %s", pid, running)
                _send(pid, signal.SIGKILL)
            self.cut.update(self.seats)
        elif self.phase == Phase.ENDING and not self.seats:
            self.phase = Phase.TIDYING
            self.systemd.tell_of_end()
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
        birth = self.next_birth if self.next_birth > now else self.deadline
        look = now + max(SHORTEST_LOOK, self.headroom / FASTEST_GROWTH)
        soon = min(self.deadline, overdue, birth, look, now + self.systemd.pause())
        busy = self.progress is not None or (self.phase == Phase.RUNNING and self.at_work() < self.wanted)
        return max(0.01, min(0.1 if busy else 1.0, soon - now))

    # -- how it is

    def liveness(self) -> Health:
        """That it is asked at all says that the supervisor turns."""
        if self.phase >= Phase.TIDYING:
            return Health()  # the loops have ended; how long the rest may take is limited
        return health.liveness(self.board)

    def readiness(self) -> Health:
        return health.readiness(
            self.board,
            wanted=self.wanted,
            has_housekeeper=self.housekeeper is not None,
            is_ending=self.phase > Phase.RUNNING,
        )

    # -- in the children

    def keep_house(self) -> None:
        Housekeeper(options=self.options, board=self.board, pid=os.getppid(), lifeline=self.lifeline).run()

    def fork(self, live: Callable[[], None]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        stops.hold()  # until the child has handlers of its own
        pid = os.fork()
        if pid == 0:
            self.be_child(live)
        stops.hear()
        return pid

    def be_child(self, live: Callable[[], None]) -> NoReturn:
        code = 1
        try:
            os.close(
                self.lifeline_end
            )  # or this process would keep its siblings from noticing the parent's death
            self.probes.close()
            self.systemd.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            live()
            code = PEACE
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
