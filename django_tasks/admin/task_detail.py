"""One task on one screen: what its page shows besides the columns of its row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.admin import AdminSite
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks import clock, conf, states
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskAttempt, TaskResult
from django_tasks.models.result import TaskResultQuerySet
from django_tasks.steering.again import RETRY_OF

from . import (
    arguments,
    badges,
    courses,
    links,
    names,
    numbers,
    similar,
    task_options,
    texts,
    timeline,
    times,
    tracebacks,
)

#: What is left alone: a worker writes its own things into these rows, or nothing.
NOT_PROGRESS = states.FINAL_STATES | {states.PENDING, states.STARTED, states.RETRY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a task says it is."""

    current: float
    total: float

    @property
    def words(self) -> str:
        return _("%(current)s of %(total)s") % {
            "current": _number(self.current),
            "total": _number(self.total),
        }

    @property
    def percent(self) -> int:
        return int(100 * self.current / self.total)


class Detail:
    """Asked for by the templates, part by part: each part reads what it needs, once."""

    def __init__(
        self, row: TaskResult, site: AdminSite, rows: TaskResultQuerySet, *, sees_payload: bool
    ) -> None:
        self.row = row
        self.site = site
        #: Of the tasks that the user may see.
        self.rows = rows
        self.sees_payload = sees_payload

    @cached_property
    def attempts(self) -> list[TaskAttempt]:
        """Those that did not simply succeed."""
        return list(TaskAttempt.objects.using(conf.current().DATABASE).of_task(self.row.id))

    @cached_property
    def attempt_lines(self) -> list[dict[str, Any]]:
        return [
            {
                "row": attempt,
                "key": attempt.pk,
                "span": times.span(attempt.finished_at - attempt.started_at if attempt.started_at else None),
                "traceback": tracebacks.block(attempt.traceback) if attempt.traceback else "",
            }
            for attempt in self.attempts
        ]

    @cached_property
    def runs(self) -> courses.Chart | None:
        """Beside those before it."""
        return similar.chart(self.row, similar.runs(self.row, self.rows))

    @property
    def timeline(self) -> SafeString:
        return timeline.of(self.row, self.attempts)

    @property
    def badge(self) -> SafeString:
        return badges.of_status(self.row.status)

    @property
    def short_name(self) -> str:
        return names.short(self.row.task)

    @property
    def options(self) -> list[task_options.Line]:
        return task_options.lines(self.row, self._order)

    @property
    def is_over(self) -> bool:
        return self.row.is_final

    @property
    def steps(self) -> list[tuple[str, SafeString | str]]:
        """The moments of its life, in words."""
        row, found = self.row, [(_("sent"), times.exact(self.row.created_at))]
        if self._order and self._order.eta and not row.is_final and row.claimed_by is None:
            found.append((_("due"), times.exact(clock.to_storage(self._order.eta))))
        if row.started_at is not None:
            found.append((_("waited"), times.span(row.wait_time)))
            found.append((_("started"), times.exact(row.started_at)))
            found.append((_("ran"), times.span(times.run_time(row))))
        if row.finished_at is not None:
            found.append((_("ended"), times.exact(row.finished_at)))
        return found

    @cached_property
    def progress(self) -> Progress | None:
        """Of a state of the project's own that says `current` and `total`."""
        if self.row.status in NOT_PROGRESS or not self.row.result:
            return None
        try:
            meta = json.loads(self.row.result)
            current, total = float(meta["current"]), float(meta["total"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return Progress(current=min(max(current, 0.0), total), total=total) if 0 < total < 1e15 else None

    # -- what only some may see

    @cached_property
    def _order(self) -> TaskMessage | None:
        return self.row.order(conf.current().ACCEPT_CONTENT) if self.sees_payload else None

    @cached_property
    def _known(self) -> arguments.Known | None:
        return arguments.of(self.row) if self.sees_payload else None

    @cached_property
    def payload(self) -> tuple[str, str] | None:
        """Both kinds of arguments as JSON, in full, without secrets."""
        return self._known.shown() if self._known else None

    @cached_property
    def python_call(self) -> str:
        """To be typed into a shell."""
        if self._known is None:
            return ""
        try:
            args, kwargs = arguments.read(*self._known.masked)
        except ValueError:  # a type of the project's own, of which a part is masked
            return ""
        name, priority = self.short_name, self.row.priority
        if self.row.queue == conf.current().TASK_DEFAULT_QUEUE and not priority:
            given = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
            return f"{name}.delay({', '.join(given)})"
        return (
            f"{name}.apply_async({tuple(args)!r}, {kwargs!r}, queue={self.row.queue!r}, priority={priority})"
        )

    @cached_property
    def repeats(self) -> SafeString | str:
        """The task that this one is a repetition of."""
        id = self._order.headers.get(RETRY_OF) if self._order else None
        return links.to_row(self.site, TaskResult, id) if isinstance(id, str) else ""

    @property
    def raw_text(self) -> str:
        return texts.shortened(json.dumps(self.raw(), indent=2, ensure_ascii=False))

    def raw(self) -> dict[str, Any]:
        """All of it as plain values, for a program."""
        row = self.row
        found = {
            **{name: getattr(row, name) for name in ("id", "task", "status", "queue", "priority", "worker")},
            **{name: getattr(row, name) for name in ("retries", "crashes", "parent_id", "root_id")},
            **{name: getattr(row, name) for name in ("group_id", "traceback")},
            **{name: _iso(getattr(row, name)) for name in ("created_at", "started_at", "finished_at")},
            "attempts": [
                {
                    "number": attempt.number,
                    "ending": attempt.ending,
                    "worker": attempt.worker,
                    "started_at": _iso(attempt.started_at),
                    "finished_at": _iso(attempt.finished_at),
                    "error": attempt.error_type,
                    "message": attempt.message,
                }
                for attempt in self.attempts
            ],
        }
        if self.sees_payload:
            args, kwargs = map(json.loads, self.payload) if self.payload else (row.args, row.kwargs)
            result = texts.pretty(row.result, row.task) if row.result else None
            found |= {"args": args, "kwargs": kwargs, "result": result}
        return found


def _iso(value: Any) -> str | None:
    return None if value is None else clock.from_storage(value).isoformat()


def _number(value: float) -> str:
    return numbers.told(int(value) if value == int(value) else value)
