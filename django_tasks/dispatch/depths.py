"""How full the queues are and who serves them, on any broker, for those who look after them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connections

from django_tasks import clock, conf, states
from django_tasks.brokers import queues
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, QueuePause, TaskResult, Worker, counting, standing
from django_tasks.models.counting import Count
from django_tasks.models.queue import QueuedMessageQuerySet
from django_tasks.models.result import Claims
from django_tasks.models.standing import Standing

from .sizes import Answer

#: Asks a broker of its own how many messages are ready in these queues.
AskSizes = Callable[[Sequence[str]], Answer]

#: So long a lost worker is told of.
REMEMBERED = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """One queue, in numbers."""

    queue: str
    #: Messages to be taken now; `None` if the broker does not say.
    ready: Count | None
    #: that are due later,
    parked: Count
    #: and that could not be obeyed.
    aside: Count
    #: Tasks that workers have claimed,
    running: int
    #: and of these, those that are known to have begun: of a short one it is not written down.
    begun: int
    #: Since when the one has waited that waits longest.
    oldest: dt.datetime | None
    is_paused: bool
    reason: str
    paused_at: dt.datetime | None
    paused_until: dt.datetime | None
    paused_by: str
    #: The names of the living workers that serve it, and how many tasks these can run at a time, of all their queues.
    workers: tuple[str, ...]
    slots: int
    is_declared: bool

    def age(self, now: dt.datetime) -> dt.timedelta | None:
        """How long the one has waited that waits longest."""
        return None if self.oldest is None else max(now - self.oldest, dt.timedelta())

    @property
    def busy(self) -> int:
        """Of the slots; what is claimed besides has not begun."""
        return min(self.running, self.slots)

    @property
    def is_unserved(self) -> bool:
        """Does no worker take from it, although it is not paused?"""
        return not self.workers and not self.is_paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All queues, and who serves them."""

    #: When this was, by the database's clock.
    now: dt.datetime
    #: All declared queues, and others of which something is left.
    depths: Sequence[Depth]
    #: Those that live, and those that were lost lately.
    workers: Sequence[Worker]
    #: What these own.
    claims: Sequence[Claims]
    #: Tasks that are due again, after a run that was not enough.
    retrying: Count
    #: Why the broker did not say how full its queues are.
    trouble: str


def depths(most: int | None = None, ask_sizes: AskSizes | None = None) -> Sequence[Depth]:
    """All declared queues, and others of which something is left. As `traffic` has them."""
    return traffic(most, ask_sizes).depths


def traffic(most: int | None = None, ask_sizes: AskSizes | None = None) -> Traffic:
    """Five statements, and with a broker of its own a question for each queue.

    With `most` no messages are counted further. Raises `OperationalError` if the broker does not answer; `ask_sizes`,
    if given, is asked instead.
    """
    alias = conf.current().DATABASE
    now = clock.database_now(connections[alias])
    claims = TaskResult.objects.using(alias).claims()
    pauses = {pause.queue: pause for pause in QueuePause.objects.using(alias).in_force(clock.to_storage(now))}
    workers = list(Worker.objects.using(alias).known_since(clock.to_storage(now - REMEMBERED)))
    rows = QueuedMessage.objects.using(broker().alias)
    names = _names({*standing.queues(rows), *(claim.queue for claim in claims), *pauses})
    stand, retrying = _counted(rows, names, most)
    ready, trouble = _sizes(names, stand, ask_sizes)
    return Traffic(
        now=now,
        depths=[
            _depth(
                name,
                stand[name],
                ready.get(name),
                [claim for claim in claims if claim.queue == name],
                pauses.get(name),
                [worker for worker in workers if worker.is_alive(now) and name in worker.queue_names],
            )
            for name in names
        ],
        workers=workers,
        claims=claims,
        retrying=retrying,
        trouble=trouble,
    )


def _names(left: set[str]) -> list[str]:
    return [*queues.declared(), *sorted(left.difference(queues.declared()))]


def _counted(
    rows: QueuedMessageQuerySet, names: Sequence[str], most: int | None
) -> tuple[Mapping[str, Standing], Count]:
    """What is stored; and how many tasks are due again, by the same statement if it is the same database."""
    alias = conf.current().DATABASE
    again = counting.how_many(
        TaskResult.objects.using(alias).with_status(states.RETRY).values("created_at"), alias, counting.MOST
    )
    is_one = rows.db == alias
    stand, beside = standing.standings(rows, names, most, [again] if is_one else [])
    (retrying,) = beside if is_one else counting.one_row([again], alias)
    return stand, Count.of(retrying, counting.MOST)


def _sizes(
    names: Sequence[str], stand: Mapping[str, Standing], ask_sizes: AskSizes | None
) -> tuple[Mapping[str, Count], str]:
    """How many messages are ready in the queues, as far as that is known, and why it is not."""
    if broker().is_embedded:
        return {name: found.ready for name, found in stand.items()}, ""
    if ask_sizes is None:
        return {name: Count(broker().size(name)) for name in names}, ""
    answer = ask_sizes(names)
    return {name: Count(number) for name, number in answer.sizes.items()}, answer.trouble


def _depth(
    name: str,
    stand: Standing,
    ready: Count | None,
    claims: Sequence[Claims],
    pause: QueuePause | None,
    serving: Sequence[Worker],
) -> Depth:
    # What is stored for a broker of its own is on its way there.
    parked = stand.parked if broker().is_embedded else stand.parked.and_also(stand.ready)
    return Depth(
        queue=name,
        ready=ready,
        parked=parked,
        aside=stand.aside,
        running=sum(claim.claimed for claim in claims),
        begun=sum(claim.begun for claim in claims),
        oldest=None if stand.oldest is None else clock.from_storage(stand.oldest),
        is_paused=pause is not None,
        reason=pause.reason if pause else "",
        paused_at=clock.from_storage(pause.paused_at) if pause else None,
        paused_until=clock.from_storage(pause.until) if pause and pause.until else None,
        paused_by=pause.paused_by if pause else "",
        workers=tuple(worker.name for worker in serving),
        slots=sum(worker.slots for worker in serving),
        is_declared=name in queues.declared(),
    )
