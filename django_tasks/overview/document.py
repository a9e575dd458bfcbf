"""How all of it is, as JSON has it: for `manage.py taskstatus --json` and for the endpoint of statistics."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django_tasks import clock
from django_tasks.dispatch.depths import Depth
from django_tasks.models.counting import Count
from django_tasks.models.figures import Figures, Spans

from .course import Course
from .state import Manned, State


def document(state: State, course: Course) -> dict[str, Any]:
    """Nothing in it but texts, numbers, lists and dicts. Spans are seconds, moments ISO 8601 in UTC."""
    return {
        "at": _moment(state.now),
        "level": state.level.name.lower(),
        "notices": [
            {
                "level": notice.level.name.lower(),
                "code": notice.code,
                "text": notice.text,
                "queue": notice.queue or None,
                "worker": notice.worker or None,
            }
            for notice in state.notices
        ],
        "tasks": {
            "queued": _count(state.counts.queued),
            "running": state.counts.running,
            "scheduled": _count(state.counts.scheduled),
            "retrying": _count(state.counts.retrying),
            "set_aside": _count(state.counts.aside),
        },
        "last_hour": _figures(course.total),
        "last_24_hours": _figures(course.last_day),
        "queues": [_queue(queue, state.now, course) for queue in state.queues],
        "workers": [_worker(worker) for worker in state.workers],
    }


def _queue(queue: Depth, now: dt.datetime, course: Course) -> dict[str, Any]:
    age = queue.age(now)
    return {
        "name": queue.queue,
        "waiting": _count(queue.ready),
        "oldest_seconds": None if age is None else round(age.total_seconds(), 3),
        "running": queue.running,
        "slots": queue.slots,
        "workers": list(queue.workers),
        "paused_at": _moment(queue.paused_at),
        "paused_until": _moment(queue.paused_until),
        "reason": queue.reason,
        "ended_per_second": round(course.ended_per_minute(queue.queue) / 60, 3),
    }


def _worker(worker: Manned) -> dict[str, Any]:
    row = worker.row
    return {
        "name": row.name,
        "hostname": row.hostname,
        "pid": row.pid,
        "alive": worker.is_alive,
        "state": worker.state.value,
        "trouble": row.trouble,
        "queues": row.queue_names,
        "running": worker.busy,
        "slots": row.slots,
        "memory": row.memory,
        "started_at": _moment(clock.from_storage(row.started_at)),
        "seen_at": _moment(row.renewed_at and clock.from_storage(row.renewed_at)),
        "recovered": row.recovered,
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "succeeded": figures.succeeded,
        "failed": figures.failed,
        "others": figures.others,
        "retries": figures.retries,
        "run_seconds": _spans(figures.run_time),
        "wait_seconds": _spans(figures.wait),
    }


def _spans(spans: Spans) -> dict[str, float | None]:
    found = {f"p{percent}": spans.percentile(percent) for percent in (50, 95, 99)}
    return {name: None if span is None else round(span.total_seconds(), 3) for name, span in found.items()}


def _count(count: Count | None) -> dict[str, Any] | None:
    """A number that may not be all of it says so."""
    return None if count is None else {"count": int(count), "is_capped": count.is_capped}


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat(timespec="milliseconds")
