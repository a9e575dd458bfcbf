"""Which tasks: by how they stand, by name, by what they are about, by what they came of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING, Self

from django.db import connections, models

from django_tasks import clock, conf, states
from django_tasks.message.asked import subject_of

from .batches import MOST_ROWS, slices

if TYPE_CHECKING:
    from .result import TaskResult  # noqa: F401 - its name stands in quotes below

#: How far `came_of` follows who sent whom: long chains are cut there.
GENERATIONS = 50


class ListedResults(models.QuerySet["TaskResult"]):
    def final(self) -> Self:
        """Rows to which nothing more will happen."""
        return self.filter(status__in=states.FINAL_STATES)

    def not_final(self) -> Self:
        return self.exclude(status__in=states.FINAL_STATES)

    def waiting(self) -> Self:
        """Rows that nobody owns and that are still to be run."""
        return self.filter(claimed_by=None).exclude(status__in=states.FINAL_STATES)

    def with_status(self, status: str) -> Self:
        """Rows of one status, by the index of those that are not simply done."""
        rows = self.filter(status=status)
        if status == states.SUCCESS or connections[self.db].vendor != "sqlite":
            return rows
        # SQLite takes a partial index only where its condition stands in the query, however plain it is. PostgreSQL
        # needs no telling, and told it expects far fewer rows than there are.
        return rows.exclude(status=states.SUCCESS)

    def sent_since(self, moment: dt.datetime, most: int) -> list[tuple[str, dt.datetime]]:
        """Queue and moment of what was sent since then, the newest first. By an index alone."""
        newest = self.filter(created_at__gte=clock.to_storage(moment)).order_by("-created_at")
        return list(newest.values_list("queue", "created_at")[:most])

    def failed_as(self, fingerprint: str) -> Self:
        """The failures of one kind, the latest first: the order of an index."""
        return self.filter(fingerprint=fingerprint).order_by("-finished_at")

    def about(self, subject: object) -> Self:
        """What was sent about an object of the project (`subject=`), the latest first: the order of an index.

        In the database of the tasks, unless `using` says another one.
        """
        kind, key = subject_of(subject) or ("", "")
        rows = self if self._db else self.using(conf.current().DATABASE)  # type: ignore[attr-defined]
        return rows.filter(subject_type=kind, subject_id=key).order_by("-created_at")

    def of_tasks_named(self, beginning: str) -> Self:
        """Rows of the tasks whose name begins so, task by task, each's newest first: the order of an index.

        LIKE alone finds no index: Django's ignores case on SQLite, compares bytes on MariaDB, and wants another
        kind of index on PostgreSQL. A range has one everywhere. It ends with the last character there is, not with
        the one after the prefix's last: by the collations of languages nothing follows "z", and "9" follows ":".
        By those the range is also too wide, as case and accents count little; LIKE corrects that. So case matters
        on every database.
        """
        named = self.filter(task__gte=beginning, task__lt=f"{beginning}\uffff", task__startswith=beginning)
        return named.order_by("-task", "-created_at", "-pk")

    def sent_until(self, task: str, moment: dt.datetime) -> Self:
        """Rows of one task that were sent no later than a moment, the latest first: the order of an index."""
        return self.filter(task=task, created_at__lte=moment).order_by("-created_at")

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of the ids that have a row."""
        return {
            id for some in slices(sorted(ids)) for id in self.filter(id__in=some).values_list("id", flat=True)
        }

    def members(self, group_id: str) -> Self:
        """The rows that count for a group, in its order."""
        return self.filter(group_id=group_id).order_by("group_index", "created_at", "id")

    def came_of(self, id: str, most: int = MOST_ROWS) -> Self:
        """A task, what it sent, what these sent, and so on: the nearest `most`. By the index of parents.

        A query for each generation, and no more than `GENERATIONS`.
        """
        found, generation = {id: None}, [id]
        for _generation in range(GENERATIONS):
            sent = self.model.objects.using(self.db).filter(parent_id__in=generation)
            generation = list(sent.values_list("id", flat=True)[: most - len(found)])
            found.update(dict.fromkeys(generation))
            if not generation:
                break
        return self.filter(id__in=list(found))

    def running(self) -> Self:
        """What is known to run, the longest first; read without what is large. A short task is not written down.

        By the index of owners, which has claimed rows only.
        """
        begun = self.filter(claimed_by__isnull=False, started_at__isnull=False)
        return begun.defer("message", "result", "traceback").order_by("started_at", "id")
