"""Rescue: what dead processes left behind ends or goes back to its queue."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from django.db import connections, transaction
from django.db.models import F

from django_tasks import clock, conf, registry
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import NotRegistered, WorkerLostError
from django_tasks.execution import journal, news
from django_tasks.execution.attempts import Ending, Lost, note_lost
from django_tasks.execution.outcome import Failed, Request
from django_tasks.execution.report import report_failures
from django_tasks.execution.settlement import hand_back, settle
from django_tasks.message.errors import write_error
from django_tasks.models import TaskResult, Worker
from django_tasks.models.result_claims import worker_of

from . import verdicts
from .admission import acks_late
from .board import CUT, FREE, OVERSIZED, Board, Running, Seat
from .lease import Lease
from .options import WorkerOptions

logger = logging.getLogger("django_tasks.worker")


class Rescue:
    """One turn looks at our own dead, whom the board names at once, and now and then at workers whose lease ended."""

    def __init__(self, *, board: Board, options: WorkerOptions, lease: Lease) -> None:
        self.board = board
        self.lease = lease
        self.options = options
        self.looked = float("-inf")

    def turn(self) -> None:
        for seat in self.board.dead_seats():
            self.clear(seat)
        if self.lease.may_judge() and clock.monotonic() - self.looked >= self.lease.span / 6:
            self.looked = clock.monotonic()
            self.rescue_lost_workers()

    def clear(self, seat: Seat) -> None:
        """Rescue what a process of ours left, then let its seat be taken again.

        In one transaction: whoever takes this up after we were killed over it, by this board or (when all of the
        worker is gone) by the rows, finds everything done and told of, or nothing.
        """
        with transaction.atomic(using=conf.current().DATABASE):
            self.take_over(seat)
        seat.mark(FREE)

    def take_over(self, seat: Seat) -> None:
        left = dict(journal.read(written, self.options.full_name) for written in seat.unsettled())
        running = seat.running()
        guilty = [task for task in running if verdicts.is_final(task)]
        settle([outcome for outcome in left.values() if outcome is not None], seat.owner)
        verdicts.execute(guilty, seat.owner, self.options.full_name)
        begun = {id for id, outcome in left.items() if outcome is None}
        if not guilty:  # else they were stopped by no fault of theirs, and go back as if they had not begun
            begun |= {task.id for task in running}
        is_crash = not (seat.state == CUT or guilty)
        rescue(seat.owner, has_begun=begun.__contains__, is_crash=is_crash, why=self.why(seat, running))

    def why(self, seat: Seat, running: Sequence[Running]) -> str:
        if seat.state == CUT:
            return f"It ran longer than the {self.options.grace:g} s of grace at a shutdown and was cut."
        if any(task.verdict == OVERSIZED for task in running):
            return f"Process {seat.pid} used more than --max-memory {self.options.max_memory} kB while running it."
        return f"Process {seat.pid} died while running it."

    def rescue_lost_workers(self) -> None:
        rows = TaskResult.objects.using(conf.current().DATABASE)
        owners = {*rows.owners(), *broker().owners()}
        strangers = {owner for owner in owners if worker_of(owner) != self.board.worker_id}
        workers = Worker.objects.using(conf.current().DATABASE)
        now = clock.to_storage(clock.database_now(connections[workers.db]))
        alive = set(workers.alive(now).values_list("id", flat=True)) if strangers else set()
        for worker_id in {worker_of(owner) for owner in strangers} - alive:
            self.rescue_worker(worker_id, [owner for owner in strangers if worker_of(owner) == worker_id])
        for worker in workers.lapsed(now).exclude(id=self.board.worker_id):  # who looks is alive
            workers.bury(worker.id, now)  # it left nothing behind

    def rescue_worker(self, worker_id: str, owners: Iterable[str]) -> None:
        """Nobody can tell any more which of a lost machine's tasks had begun, so each may have."""
        workers = Worker.objects.using(conf.current().DATABASE)
        now = clock.to_storage(clock.database_now(connections[workers.db]))
        with transaction.atomic(using=workers.db):
            is_first = workers.bury(worker_id, now)
            if not is_first and workers.filter(id=worker_id, lost_at=None).exists():
                return  # it is alive after all
            rescued = sum(
                rescue(owner, has_begun=lambda id: True, is_crash=True, why="Its worker was lost.")
                for owner in owners
            )
            if is_first or rescued:  # of two that come for it, the second mostly finds nothing
                workers.filter(id=worker_id).update(recovered=F("recovered") + rescued)
        if is_first or rescued:
            logger.warning("Worker %s was lost; %d of its tasks were taken care of", worker_id, rescued)


def rescue(owner: str, *, has_begun: Callable[[str], bool], is_crash: bool, why: str) -> int:
    """End or give back everything that a dead process owned; how many tasks that were.

    What had not begun goes back untouched. What had begun runs again if it is `acks_late`, as often as `MAX_CRASHES`
    allows, and else ends as FAILURE (`WorkerLostError`).
    """
    rows = TaskResult.objects.using(conf.current().DATABASE)
    most = conf.current().MAX_CRASHES
    with transaction.atomic(using=rows.db):
        left = list(rows.owned_by(owner).select_for_update())
        begun = [row for row in left if has_begun(row.id)]
        if is_crash:
            rows.count_crash([row.id for row in begun], owner)
        lost = [row for row in begun if not _runs_again(row, most if is_crash else None)]
        lost_ids = {row.id for row in lost}
        settle([_lost(row, why, is_crash) for row in lost], owner)
        report_failures([row.id for row in lost])
        note_lost([_begun(row, why, is_crash) for row in begun if row.id not in lost_ids])
        hand_back({row.id for row in left} - lost_ids, owner)
        broker().rescue(owner, most, f"Its process died {most} times while running it.")
    return len(left)


def _runs_again(row: TaskResult, most: int | None) -> bool:
    try:
        again = acks_late(registry.find(row.task))
    except NotRegistered:
        return False
    return again and (most is None or row.crashes + 1 < most)


def _lost(row: TaskResult, why: str, is_crash: bool) -> Failed:
    if is_crash and row.crashes:
        why = f"{why} That was crash number {row.crashes + 1}, and no more are allowed."
    message = row.to_message()
    request = Request(message=message, worker=row.worker)
    news.lost(request, why)
    return Failed(
        request=request,
        error=write_error(WorkerLostError(why)),
        traceback=None,
        started_at=None if row.started_at is None else clock.from_storage(row.started_at),
        finished_at=clock.now(),
    )


def _begun(row: TaskResult, why: str, is_crash: bool) -> Lost:
    """The run of a task that goes back to its queue."""
    return Lost(
        request=Request(message=row.to_message(), worker=row.worker),
        ending=Ending.LOST if is_crash else Ending.CUT,
        error=write_error(WorkerLostError(why)),
        started_at=None if row.started_at is None else clock.from_storage(row.started_at),
        finished_at=clock.now(),
    )
