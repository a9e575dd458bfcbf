"""Which tasks something is done to: those that were ticked, or all that the list shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from django_tasks.models.counting import MOST, Count
from django_tasks.steering import matching, search
from django_tasks.steering.selection import Selection

from .actions import Chosen, Refused
from .rows import RowAdmin
from .task_list import TaskList

#: In what a list posts: all that it shows is meant; the parameters of its address; and up to when.
EVERYTHING, ASKED, UNTIL = "everything", "asked", "until"


class TaskChoice(RowAdmin):
    def shows_what_is_asked(self, request: HttpRequest) -> bool:
        """Does the list show all that its address asks for, as steering/matching.py reads it?

        Not where a project has it show less: then there is no telling afterwards what "all" was.
        """
        own = type(self)
        filters = (getattr(offered, "parameter_name", None) for offered in self.get_list_filter(request))
        return (
            own.get_queryset is RowAdmin.get_queryset
            and own.get_search_results is TaskChoice.get_search_results
            and self.get_changelist(request) is TaskList
            and all(name in matching.PARAMETERS for name in filters)
        )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TaskList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What is searched for, with words for what and where (steering/search.py)."""
        if search.parse(search_term).is_for_arguments and not self._sees_payloads(request):
            return queryset.none(), False  # finding them would tell what they are
        return matching.searched(queryset, search_term, request.GET.dict()), False  # type: ignore[arg-type]

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        """Those that were ticked, or all that the list shows with the parameters that are given."""
        if EVERYTHING in request.POST:
            return self._everything(request)
        # What the project hides from this user is not acted on either.
        rows = self.get_queryset(request).filter(pk__in=keys)
        found = list(rows.only("id", "task"))
        one = found[0] if len(found) == 1 else None
        return Chosen(
            rows=Selection.of_ids(tuple(row.id for row in found)),
            count=Count(len(found)),
            samples=found[:10],
            id=one.id if one else "",
            name=str(one) if one else "",
        )

    def _everything(self, request: HttpRequest) -> Chosen:
        if not self.shows_what_is_asked(request):
            raise Refused(_("Not everybody sees the same tasks here: tick those that you mean."))
        asked = QueryDict(request.POST.get(ASKED, "")).dict()
        wanted = search.parse(str(asked.get(matching.QUERY, "")))
        if wanted.is_for_arguments and not self._sees_payloads(request):
            raise PermissionDenied
        selection = Selection.shown({name: str(value) for name, value in asked.items()})
        if until := request.POST.get(UNTIL):
            selection = replace(selection, until=until)
        try:
            count = Count.of(selection.count(MOST + 1), MOST)
        except ValueError as error:
            raise Refused(_("The list cannot be read any more: begin anew.")) from error
        return Chosen(
            rows=selection,
            count=count,
            samples=selection.samples(),
            is_everything=True,
            carried={UNTIL: selection.until},
        )
