"""What the admin pages of all our rows have in common: they read, and they stay fast at a million rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from .paginator import CappedPaginator
from .times import NOTHING


class RowList(ChangeList):
    """A list that reads the columns it shows."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows = super().get_queryset(request, exclude_parameters)
        return rows.only(*self.model_admin.list_columns)  # type: ignore[attr-defined]


class RowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Read-only, and without what makes the stock admin slow.

    No date hierarchy, no facets, no filter that asks the table for its values, no sorting by a column without
    an index. Deleting is not offered either: its confirmation page would load every row that was selected,
    and a row deleted under a worker that runs it would be a task without an ending.
    """

    #: Columns that the list needs. What is large or nobody's business is not among them.
    list_columns: tuple[str, ...] = ()
    #: Columns that are never read here, in the list or on a row's own page.
    hidden_columns: tuple[str, ...] = ()

    list_per_page = 50
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    empty_value_display = NOTHING
    actions = None

    class Media:
        css = {"all": ["django_tasks/admin.css"]}

    @property
    def database(self) -> str:
        """Alias of the database that has the rows."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(self.database).defer(*self.hidden_columns)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RowList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the filters offer. Others could scan the table, or guess a hidden column bit by bit."""
        return any(lookup == offered.parameter_name for offered in self.list_filter)  # type: ignore[union-attr]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
