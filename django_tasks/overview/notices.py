"""What somebody should look at, and how urgently."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_tasks import clock
from django_tasks.dispatch.depths import Depth
from django_tasks.models import Worker
from django_tasks.models.counting import Count

if TYPE_CHECKING:
    from .state import Counts, Manned

BROKER_UNREACHABLE = "broker_unreachable"


class Level(enum.IntEnum):
    """As the exit status of `manage.py taskstatus` says it."""

    FINE = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to look at. `code` is for programs, `text` for people."""

    level: Level
    code: str
    text: str
    #: What it is about, if it is about one.
    queue: str = ""
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From when on something is worth a notice."""

    #: Something has waited this long in a queue that is not paused.
    waiting: dt.timedelta = dt.timedelta(minutes=5)
    #: A queue has been paused this long.
    paused: dt.timedelta = dt.timedelta(hours=3)
    #: A worker was lost less long ago.
    lost: dt.timedelta = dt.timedelta(hours=1)
    #: Nothing is ever deleted, and there are ends older than this.
    kept: dt.timedelta = dt.timedelta(days=90)


DEFAULT_LIMITS = Limits()


def notices(
    *,
    queues: Sequence[Depth],
    workers: Sequence[Manned],
    counts: Counts,
    broker_trouble: str,
    first_end: dt.datetime | None,
    now: dt.datetime,
    limits: Limits,
) -> list[Notice]:
    """The most urgent first. `first_end` is that of the oldest result, where results are kept for ever."""
    found = [
        *_of_broker(broker_trouble),
        *_unserved(queues, workers),
        *(notice for queue in queues for notice in _of_queue(queue, now, limits)),
        *(notice for worker in workers for notice in _of_worker(worker, now, limits)),
        *_aside(counts.aside),
        *_of_retention(first_end, now, limits),
    ]
    return sorted(found, key=lambda notice: -notice.level)


def _of_broker(trouble: str) -> Iterator[Notice]:
    if trouble:
        text = _("The broker cannot be reached: %s") % trouble
        yield Notice(level=Level.CRITICAL, code=BROKER_UNREACHABLE, text=text)


def _unserved(queues: Sequence[Depth], workers: Sequence[Manned]) -> Iterator[Notice]:
    # Of one that is not declared no worker is expected, unless something waits there.
    unserved = [queue for queue in queues if queue.is_unserved and (queue.is_declared or queue.ready)]
    if not any(worker.is_alive for worker in workers):
        level = Level.CRITICAL if any(queue.ready for queue in unserved) else Level.WARNING
        yield Notice(level=level, code="no_workers", text=_("No worker runs. Start one: manage.py runworker"))
        return
    for queue in unserved:
        if queue.ready:
            text = ngettext(
                "%(count)s message waits in queue %(queue)s, which no worker serves.",
                "%(count)s messages wait in queue %(queue)s, which no worker serves.",
                queue.ready,
            )
            level = Level.CRITICAL
        else:
            text, level = _("No worker serves queue %(queue)s."), Level.WARNING
        told = text % {"count": queue.ready, "queue": queue.queue}
        yield Notice(level=level, code="queue_unserved", text=told, queue=queue.queue)


def _of_queue(queue: Depth, now: dt.datetime, limits: Limits) -> Iterator[Notice]:
    if queue.paused_at is not None:
        if now - queue.paused_at >= limits.paused:
            told = {"queue": queue.queue, "span": _roughly(now - queue.paused_at)}
            text = _("Queue %(queue)s has been paused for %(span)s.") % told
            if queue.reason:
                text = _("%(text)s Reason: %(reason)s") % {"text": text, "reason": queue.reason}
            yield Notice(level=Level.WARNING, code="queue_paused", text=text, queue=queue.queue)
        return
    age = queue.age(now)
    if age is not None and age >= limits.waiting:
        told = {"queue": queue.queue, "span": _roughly(age)}
        text = _("The oldest message of queue %(queue)s has waited for %(span)s.") % told
        yield Notice(level=Level.WARNING, code="queue_slow", text=text, queue=queue.queue)


def _of_worker(worker: Manned, now: dt.datetime, limits: Limits) -> Iterator[Notice]:
    row = worker.row
    if worker.state == Worker.State.LOST:
        lost_for = now - clock.from_storage(row.lease_until)
        if lost_for < limits.lost:
            text = _("Worker %(worker)s was lost %(span)s ago.") % {
                "worker": row.name,
                "span": _roughly(lost_for),
            }
            yield Notice(level=Level.WARNING, code="worker_lost", text=text, worker=row.name)
    elif worker.state == Worker.State.TROUBLED:
        text = _("Worker %(worker)s: %(trouble)s") % {"worker": row.name, "trouble": row.trouble_told}
        yield Notice(level=Level.WARNING, code="worker_trouble", text=text, worker=row.name)


def _aside(aside: Count) -> Iterator[Notice]:
    if aside:
        text = ngettext(
            "%(count)s message could not be obeyed and is set aside.",
            "%(count)s messages could not be obeyed and are set aside.",
            aside,
        )
        yield Notice(level=Level.WARNING, code="set_aside", text=text % {"count": aside})


def _of_retention(first_end: dt.datetime | None, now: dt.datetime, limits: Limits) -> Iterator[Notice]:
    if first_end is not None and now - first_end >= limits.kept:
        text = _("Results are kept for ever: the oldest one is %s old. Set RESULT_EXPIRES.")
        told = text % _roughly(now - first_end)
        yield Notice(level=Level.WARNING, code="retention_off", text=told)


def _roughly(span: dt.timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    for size, words in ((86400, _("%d d")), (3600, _("%d h")), (60, _("%d min"))):
        if seconds >= 2 * size:
            return words % (seconds // size)
    return _("%d s") % seconds
