"""The list of tasks: turned page by page from where one is, however many there are."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from django_tasks.models import keyset
from django_tasks.steering import matching

from .rows import RowList

if TYPE_CHECKING:
    from django_tasks.models import TaskResult

#: Parameters: the row behind which, or before which, the page begins.
OLDER, NEWER = "older", "newer"


class TaskList(RowList):
    """A page of it. Nothing is counted, and nothing is skipped."""

    newer_url = older_url = ""

    def get_filters_params(self, params: Any = None) -> Any:
        return {
            name: value
            for name, value in super().get_filters_params(params).items()
            if name not in (OLDER, NEWER)
        }

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request, exclude_parameters)
        return matching.bounded(rows, self.params)

    def get_results(self, request: HttpRequest) -> None:
        rows, size = self.queryset, self.list_per_page
        order = [str(column) for column in rows.query.order_by]
        behind = _read(self.params.get(OLDER, ""), order)
        before = None if behind else _read(self.params.get(NEWER, ""), order)
        if before:
            turned = keyset.reverse(order)
            found = list(keyset.behind(rows, turned, before).order_by(*turned)[: size + 1])
            has_newer, has_older = len(found) > size, True
            found = found[:size][::-1]
        else:
            found = list((keyset.behind(rows, order, behind) if behind else rows)[: size + 1])
            has_newer, has_older = behind is not None, len(found) > size
            found = found[:size]
        self._show(found, order, has_newer=has_newer, has_older=has_older)

    def _show(
        self, found: list[TaskResult], order: Sequence[str], *, has_newer: bool, has_older: bool
    ) -> None:
        if found and has_newer:
            self.newer_url = self.get_query_string({NEWER: _written(found[0], order)}, [OLDER, PAGE_VAR])
        if found and has_older:
            self.older_url = self.get_query_string({OLDER: _written(found[-1], order)}, [NEWER, PAGE_VAR])
        self.newest_url = self.get_query_string({}, [OLDER, NEWER, PAGE_VAR])
        self.result_list = found
        self.result_count = len(found)
        self.full_result_count = self.result_count
        self.show_full_result_count = self.show_admin_actions = False
        self.can_show_all = self.multi_page = False
        # Of this page alone: nobody asks it for another.
        self.paginator = Paginator(found, self.list_per_page)


def _written(row: TaskResult, order: Sequence[str]) -> str:
    """Where a row stands, for an address."""
    values = [getattr(row, column.lstrip("-")) for column in order]
    text = json.dumps([value.isoformat() if isinstance(value, dt.datetime) else value for value in values])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(text: str, order: Sequence[str]) -> list[Any] | None:
    """The opposite; nothing of what is not such a place, or is one in another order."""
    with contextlib.suppress(ValueError, TypeError, OverflowError, RecursionError):
        values = json.loads(base64.urlsafe_b64decode(text.encode() + b"=="))
        if isinstance(values, list) and len(values) == len(order):
            return [_value(column.lstrip("-"), value) for column, value in zip(order, values, strict=True)]
    return None


def _value(column: str, value: Any) -> Any:
    if column.endswith("_at"):
        return dt.datetime.fromisoformat(value)
    if column == "group_index":
        return int(value)
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError(column)
    return value
