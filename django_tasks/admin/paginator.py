"""Pages of a table that may be longer than anybody wants to count."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property

from django_tasks.models.counting import MOST, Count

from . import numbers


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts and shows so many rows and no more, whatever the table holds.

    COUNT(*) reads every row that fits; here the database may stop. For what lies further back there are
    filters and the search.
    """

    object_list: Any
    limit = MOST

    @cached_property
    def _counted(self) -> int:
        # A column of the index that gives the order: then it is counted in the index, and no row is read.
        column = self.object_list.query.order_by[0].lstrip("-")
        return int(self.object_list.order_by().values(column)[: self.limit + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.limit)

    @property
    def is_capped(self) -> bool:
        """Are there rows past the last page?"""
        return self._counted > self.limit

    @property
    def at_least(self) -> str:
        """The count of a capped list, to be read: `10,000+`."""
        return numbers.told(Count(self.limit, is_capped=True))
