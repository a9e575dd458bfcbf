"""What a task process owns: from the claim of a task to its ending, or until it is given back."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence, Set

from django.db import transaction

from django_tasks import clock, conf, registry
from django_tasks.brokers.broker import Holder, Posting
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import NotRegistered
from django_tasks.execution.outcome import Failed, Outcome, Reported, Request, Settled, Started, Succeeded
from django_tasks.execution.settlement import hand_back, settle
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.models import TaskResult

from .admission import Admitted
from .board import Seat
from .delayed import Delayed
from .lookahead import Lookahead
from .runners.runner import Runner, Underway

logger = logging.getLogger("django_tasks.worker")

#: A body that runs longer than this, in seconds, is shown as STARTED while it runs.
SHOW_STARTED_AFTER = 0.05


class Claims:
    """Every request is in here until its end is written or it is somebody else's again.

    A write that fails changes nothing here: it is done again in a later turn.
    """

    def __init__(
        self, *, seat: Seat, runner: Runner, lookahead: Lookahead, holder: Callable[[], Holder]
    ) -> None:
        self.seat = seat
        self.owner = seat.owner
        self.runner = runner
        self.lookahead = lookahead
        #: Who settles messages of untracked tasks; after a reconnection that is a new one of the same owner.
        self.holder = holder
        #: By identity: an untracked task may come twice with one id.
        self.requests: dict[int, Request] = {}
        self.delayed = Delayed(seat.board.rate_limits)
        self.unsettled: list[Outcome] = []
        #: How many of these the board keeps as well; a task that was never run is not on it.
        self.on_board = 0
        self.shown: set[int] = set()
        #: States that bodies showed and that are not written yet.
        self.reports: dict[int, Reported] = {}

    def __len__(self) -> int:
        return len(self.requests)

    def add(self, admitted: Admitted) -> None:
        """Take on what was claimed. The claim must be committed: what runs has surely been claimed."""
        revoked = [outcome.request for outcome in admitted.revoked]
        self.requests.update((id(request), request) for request in (*admitted.requests, *revoked))
        self.unsettled.extend(admitted.revoked)
        self.runner.submit(self.delayed.admit(admitted.requests))

    def submit_ripe(self) -> None:
        """Let begin what waited here for its rate limit."""
        self.runner.submit(self.delayed.ripe())

    @property
    def competing(self) -> int:
        """How many of them that are no coroutines want a slot now."""
        delayed = sum(not request.is_async for request in self.delayed.all())
        return len(self.requests) - self.coroutines - delayed

    @property
    def coroutines(self) -> int:
        return sum(request.is_async for request in self.requests.values())

    # -- endings

    def settle(self) -> None:
        """Record all that has finished, and which bodies have been running for a while."""
        while self.runner.finished:
            self.unsettled.append(self.runner.finished.popleft())
            self.on_board += 1
        self._take_reports()
        outcomes = list(self.unsettled)
        ended = {id(outcome.request) for outcome in outcomes}
        started = self._newly_started(ended)
        shown = [_started(task) for task in started if _shows_started(task.request)]
        reported = [report for key, report in self.reports.items() if key not in ended]
        if not (outcomes or started or self.reports):
            return
        if outcomes or shown or reported:
            self._write(outcomes, [*shown, *reported])
        self.shown.update(map(id, [task.request for task in started]), self.reports)
        self.reports.clear()
        self._forget(outcomes)

    def _take_reports(self) -> None:
        """After what has finished was taken: what a body shows goes before its end."""
        while self.runner.reported:
            key, report = self.runner.reported.popitem()
            if report.request.tracked and self.requests.get(key) is report.request:
                self.reports[key] = report

    def _write(self, outcomes: Sequence[Outcome], shown: Sequence[Started | Reported]) -> None:
        late = [outcome.request.delivery for outcome in outcomes if outcome.request.delivery is not None]
        with transaction.atomic(using=conf.current().DATABASE):
            settle([*outcomes, *shown], self.owner)
            if late:
                self.holder().settle(late)

    def _newly_started(self, ended: Set[int]) -> list[Underway]:
        """Bodies that have been running for a while, and of which nothing is shown yet."""
        before = clock.monotonic() - SHOW_STARTED_AFTER
        known = self.shown | ended | self.reports.keys()
        return [
            task for task in self.runner.running() if task.since < before and id(task.request) not in known
        ]

    def _forget(self, outcomes: Sequence[Outcome]) -> None:
        self.unsettled.clear()
        self.seat.settle(self.on_board)
        self.on_board = 0
        for outcome in outcomes:
            del self.requests[id(outcome.request)]
            self.shown.discard(id(outcome.request))
            if outcome.request.is_async:
                continue  # it held nobody up
            if isinstance(outcome, Succeeded | Failed | Settled) and outcome.started_at is not None:
                self.lookahead.learn((outcome.finished_at - outcome.started_at).total_seconds())
        self.seat.board.expected = self.lookahead.expected

    def has_unshown(self) -> bool:
        """Does a body run that may have to be shown as STARTED soon?"""
        return any(id(task.request) not in self.shown for task in self.runner.running())

    # -- giving back

    def give_back_unstarted(self) -> None:
        """Return all that no slot has begun to the queues."""
        withdrawn = self.runner.withdraw()
        try:
            self._give_back([*withdrawn, *self.delayed.all()])
        except Exception:
            self.runner.submit(withdrawn)  # not given back: still ours to run
            raise
        self.delayed.clear()

    def park_late(self) -> None:
        """Return what its rate limit keeps from beginning soon, to be delivered again shortly before it may."""
        late = list(self.delayed.late)
        due = {request.message.id: back for request, back in late}
        self._give_back([request for request, _ in late], due)
        del self.delayed.late[: len(late)]

    def give_back_refused(self) -> None:
        """Return what the runner did not begin because the lease was over, or this process is to be replaced."""
        refused = list(self.runner.refused)
        self._give_back(refused)
        for _ in refused:
            self.runner.refused.popleft()

    def _give_back(self, requests: Sequence[Request], due: Mapping[str, dt.datetime] | None = None) -> None:
        if not requests:
            return
        with transaction.atomic(using=conf.current().DATABASE):
            hand_back([request.message.id for request in requests if request.tracked], self.owner, due)
            self._offer_again([request for request in requests if not request.tracked], due or {})
        for request in requests:
            del self.requests[id(request)]

    def _offer_again(self, untracked: Sequence[Request], due: Mapping[str, dt.datetime]) -> None:
        """Without a row there is only the message: released if held and in no need of a delay, else sent anew."""
        held, anew = [], []
        for request in untracked:
            if request.delivery is None or request.message.id in due:
                anew.append(request)
            else:
                held.append(request.delivery)
        done = [request.delivery for request in anew if request.delivery is not None]
        if held:
            self.holder().release(held)
        if done:
            self.holder().settle(done)
        if anew:
            broker().publish([_posting(request.message, due.get(request.message.id)) for request in anew])

    def give_back_unknown(self) -> None:
        """Return rows that are ours without our knowing: a claim was committed, but the answer did not arrive."""
        rows = TaskResult.objects.using(conf.current().DATABASE)
        known = {request.message.id for request in self.requests.values()}
        owned = set(rows.owned_by(self.owner).values_list("id", flat=True))
        if returned := hand_back(owned - known, self.owner):
            logger.warning("%d claims whose commit was not confirmed go back to their queues", returned)


def _shows_started(request: Request) -> bool:
    try:
        said = registry.find(request.message.task).track_started
    except NotRegistered:  # it will fail at once
        return False
    return request.tracked and (conf.current().TASK_TRACK_STARTED if said is None else said)


def _started(task: Underway) -> Started:
    began = clock.now() - dt.timedelta(seconds=clock.monotonic() - task.since)
    return Started(request=task.request, started_at=began)


def _posting(message: TaskMessage, due: dt.datetime | None) -> Posting:
    return Posting(envelope=encode(message), queue=message.queue, priority=message.priority, deliver_at=due)
