"""How all of it is now: what waits and runs, in which queues, with which workers, and what is wrong."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django_tasks import conf
from django_tasks.dispatch import sizes
from django_tasks.dispatch.depths import Depth, Traffic, traffic
from django_tasks.models import TaskResult, Worker
from django_tasks.models.counting import MOST, Count, counts

from .notices import DEFAULT_LIMITS, Level, Limits, Notice, notices


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Tasks and messages that have not ended."""

    #: To be taken now, or if the broker does not say: sent and not claimed,
    queued: Count
    #: claimed by a worker,
    running: int
    #: due later,
    scheduled: Count
    #: due again, after a run that was not enough,
    retrying: Count
    #: and what could not be obeyed.
    aside: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Manned:
    """A worker, how it is, and what is known to run there."""

    row: Worker
    state: Worker.State
    #: The tasks' names and how many of each, the most first.
    tasks: Sequence[tuple[str, int]]

    @property
    def is_alive(self) -> bool:
        return self.state != Worker.State.LOST

    @property
    def busy(self) -> int:
        return self.row.busy_with(sum(number for _, number in self.tasks)) if self.is_alive else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    now: dt.datetime
    counts: Counts
    queues: Sequence[Depth]
    workers: Sequence[Manned]
    notices: Sequence[Notice]

    @property
    def level(self) -> Level:
        return max((notice.level for notice in self.notices), default=Level.FINE)

    @property
    def slowest(self) -> Depth | None:
        """The queue with what has waited longest."""
        waiting = (queue for queue in self.queues if queue.oldest)
        return max(waiting, key=lambda queue: queue.age(self.now) or dt.timedelta(), default=None)

    @property
    def online(self) -> int:
        return sum(worker.is_alive for worker in self.workers)

    @property
    def lost(self) -> int:
        return len(self.workers) - self.online


def state_now(limits: Limits = DEFAULT_LIMITS, patience: float = sizes.PATIENCE_OF_PROGRAMS) -> State:
    """Five statements, whatever there is. A broker of its own is waited for so many seconds."""
    seen = traffic(MOST, partial(sizes.of_broker.ask, patience=patience))
    numbers = _numbers(seen)
    workers = [_manned(row, seen) for row in seen.workers]
    kept = None if conf.current().RESULT_EXPIRES else TaskResult.objects.using(conf.current().DATABASE)
    return State(
        now=seen.now,
        counts=numbers,
        queues=seen.depths,
        workers=workers,
        notices=notices(
            queues=seen.depths,
            workers=workers,
            counts=numbers,
            broker_trouble=seen.trouble,
            first_end=None if kept is None else kept.first_end(),
            now=seen.now,
            limits=limits,
        ),
    )


def _numbers(seen: Traffic) -> Counts:
    ready = [depth.ready for depth in seen.depths if depth.ready is not None]
    parked = Count().and_also(*(depth.parked for depth in seen.depths))
    return Counts(
        queued=_unclaimed(seen.depths) if seen.trouble else Count().and_also(*ready),
        running=sum(depth.running for depth in seen.depths),
        # What is to run again is parked as well.
        scheduled=parked.less(seen.retrying),
        retrying=seen.retrying,
        aside=Count().and_also(*(depth.aside for depth in seen.depths)),
    )


def _unclaimed(queues: Sequence[Depth]) -> Count:
    """What we know without the broker: tasks that were sent and that nobody has claimed."""
    alias = conf.current().DATABASE
    sent = TaskResult.objects.using(alias).waiting().filter(awaited_at__isnull=False)
    return counts({"": sent.filter(queue__in=[depth.queue for depth in queues])}, alias)[""]


def _manned(row: Worker, seen: Traffic) -> Manned:
    tasks: Counter[str] = Counter()
    for claim in seen.claims:
        if claim.begun and claim.worker == row.id:
            tasks[claim.task] += claim.begun
    return Manned(row=row, state=row.state_at(seen.now), tasks=tasks.most_common())
