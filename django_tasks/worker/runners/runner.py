"""What runs the requests of a task process."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import partial

from django_tasks import clock, registry
from django_tasks.exceptions import NotRegistered
from django_tasks.execution import journal
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Outcome, Reported, Request
from django_tasks.service import Wakeup
from django_tasks.worker.board import Seat
from django_tasks.worker.limits import Limits, SoftLimit
from django_tasks.worker.retirement import Retirement

from .event_loop import EventLoop


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """A request whose body runs now, since a moment in monotonic seconds."""

    request: Request
    since: float


class Runner(ABC):
    """Takes requests in order and leaves their outcomes in `finished`, ringing `done`."""

    def __init__(
        self, *, seat: Seat, slots: int, done: Wakeup, retirement: Retirement, concurrency: int = 0
    ) -> None:
        self.seat = seat
        self.retirement = retirement
        self.slots = slots
        #: The slots after ours are for coroutines.
        self.event_loop = EventLoop(self, range(slots, slots + concurrency))
        self.done = done
        self.soft_limit = self.make_soft_limit()
        self.finished: deque[Outcome] = deque()
        #: The last state that each body under way has shown and nobody has written yet, by identity of the request.
        self.reported: dict[int, Reported] = {}
        #: Requests that came to their turn when the lease was over, so that they may be somebody else's, or too late in
        #: the life of this process.
        self.refused: deque[Request] = deque()
        self.underway: dict[int, Underway] = {}
        #: Is somebody asleep who wants to hear of the next outcome? Ringing costs a system call, so others don't.
        self.awaited = False
        # Outcomes stand in the same order here and on the board.
        self._ending = threading.Lock()
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()

    @abstractmethod
    def make_soft_limit(self) -> SoftLimit:
        """How a body of this runner is told that its time is over."""

    @abstractmethod
    def run(self) -> None:
        """Run requests until `finish` was called and none is left."""

    def submit(self, requests: Sequence[Request]) -> None:
        self.event_loop.submit([request for request in requests if self.is_for_loop(request)])
        for request in requests:
            if not self.is_for_loop(request):
                self._waiting.put(request)

    def is_for_loop(self, request: Request) -> bool:
        return request.is_async and len(self.event_loop.slots) > 0

    def withdraw(self) -> list[Request]:
        """Take back what no slot has begun; a request is either run or withdrawn, never both."""
        withdrawn = self.event_loop.withdraw()
        while True:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                return withdrawn
            if request is None:
                self._waiting.put(None)
                return withdrawn
            withdrawn.append(request)

    def finish(self) -> None:
        """No more will be submitted."""
        for _ in range(self.slots):
            self._waiting.put(None)

    def is_exhausted(self) -> bool:
        """Is nothing left to begin?"""
        return self._waiting.empty()

    def running(self) -> list[Underway]:
        return list(self.underway.values())

    def has_idle_slot(self) -> bool:
        """Could it run another plain task now?"""
        return any(slot not in self.underway for slot in range(self.slots))

    def longest_running(self) -> float:
        """Seconds since the oldest body under way began that is no coroutine."""
        now = clock.monotonic()
        mine = [task for slot in range(self.slots) if (task := self.underway.get(slot)) is not None]
        return max((now - task.since for task in mine), default=0.0)

    def work(self, slot: int) -> None:
        """What each slot does: one request after the other."""
        for request in iter(self._waiting.get, None):
            if limits := self.begin(slot, request):
                limit = partial(self.soft_limit.after, limits.soft) if limits.soft else None
                self.end(slot, execute(request, limit=limit, report=self.show))

    def begin(self, slot: int, request: Request) -> Limits | None:
        """The body is about to be called; under which limits. `None`: it may not be, see `refused`."""
        if (request.tracked and not self.seat.board.has_lease()) or not self.retirement.lets_begin():
            self.refused.append(request)
            self.tell()
            return None
        limits = _limits(request)
        self.underway[slot] = Underway(request=request, since=clock.monotonic())
        self.seat.begin(slot, request.message.id, limits.hard)
        return limits

    def end(self, slot: int, outcome: Outcome) -> None:
        """This came of what ran in the slot."""
        with self._ending:
            self.seat.end(slot, *journal.write(outcome))
            self.finished.append(outcome)
        # Only now: at no moment is the request neither running nor finished.
        del self.underway[slot]
        self.tell()

    def disown(self, ids: Set[str]) -> None:
        """These tasks were claimed. One of them may have replaced a body of its id that runs here to its end."""
        with self._ending:  # so that no slot is somebody else's in the middle of this
            for slot, task in list(self.underway.items()):
                if task.request.tracked and task.request.message.id in ids:
                    self.seat.disown(slot, task.request.message.id)

    def show(self, report: Reported) -> None:
        """Have a body's state shown. The body does not wait for that; of several the last one counts."""
        self.reported[id(report.request)] = report
        self.tell()

    def tell(self) -> None:
        """There is news for whoever is asleep over it."""
        if self.awaited:
            self.awaited = False
            self.done.ring()


def _limits(request: Request) -> Limits:
    try:
        return Limits.of(registry.find(request.message.task), request.message)
    except NotRegistered:
        return Limits(hard=None, soft=None)  # it will fail at once
