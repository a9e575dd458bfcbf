"""Which tasks something is to be done to: some, by their ids, or all that a list shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from django_tasks import clock, conf
from django_tasks.models import TaskResult
from django_tasks.models.batches import slices
from django_tasks.models.keyset import behind
from django_tasks.models.result import TaskResultQuerySet

from . import matching

#: Tasks in one batch, which is one transaction.
BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A description that can be sent, and says the same later: what was sent after `until` is not among it."""

    ids: tuple[str, ...] = ()
    #: The parameters of the list, if all are meant that it shows.
    asked: Mapping[str, str] = field(default_factory=dict)
    is_everything: bool = False
    until: str = ""

    @classmethod
    def of_ids(cls, ids: tuple[str, ...]) -> Self:
        return cls(ids=tuple(id for id in ids if "\x00" not in id))

    @classmethod
    def shown(cls, asked: Mapping[str, str]) -> Self:
        """All that a list with these parameters shows now."""
        return cls(asked=dict(asked), is_everything=True, until=clock.now().isoformat())

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Self:
        return cls(**{**written, "ids": tuple(written["ids"])})

    def written(self) -> dict[str, Any]:
        """As plain values, to be sent to a task."""
        return {**asdict(self), "ids": list(self.ids), "asked": dict(self.asked)}

    def rows(self) -> TaskResultQuerySet:
        rows: TaskResultQuerySet = TaskResult.objects.using(conf.current().DATABASE)
        if not self.is_everything:
            return rows.filter(id__in=self.ids)
        until = dt.datetime.fromisoformat(self.until)
        return matching.matching(rows, self.asked, until).filter(created_at__lte=clock.to_storage(until))

    def count(self, most: int) -> int:
        """How many these are, but at most `most`."""
        if not self.is_everything and len(self.ids) > most:
            return most
        return self.rows().order_by().values("created_at")[:most].count()

    def samples(self, most: int = 10) -> list[TaskResult]:
        return list(self.rows().order_by("-created_at").only("id", "task")[:most])

    def batches(self, size: int | None = None) -> Iterator[list[str]]:
        """The ids of all of them, in an order that an index gives. What is done to one batch does not move the next."""
        size = size or BATCH
        if not self.is_everything:
            yield from (list(some) for some in slices(self.ids, size))
            return
        order = (*matching.order(self.asked), "id")
        # Asked once: of what came of a task, one batch may lead to the next, and is perhaps deleted by then.
        rest = rows = self.rows().order_by(*order)
        while found := list(rest.values_list(*order)[:size]):
            yield [id for *_, id in found]
            if len(found) < size:
                return
            rest = behind(rows, order, found[-1])
