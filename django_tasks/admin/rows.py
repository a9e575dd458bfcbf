"""What the admin pages of all our rows have in common: they read, and they stay fast at a million rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from django_tasks import conf
from django_tasks.models.counting import Count

from . import fragments
from .acting import Acting
from .actions import Chosen
from .pages import Page
from .paginator import CappedPaginator
from .read_only import ReadOnly
from .tabs import tabs_for
from .times import NOTHING


class RowList(ChangeList):
    """A list that reads the columns it shows."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows = super().get_queryset(request, exclude_parameters)
        return rows.only(*self.model_admin.list_columns)  # type: ignore[attr-defined]


class RowAdmin(Acting, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Read-only, and without what makes the stock admin slow.

    No date hierarchy, no facets, no filter that asks the table for its values, no sorting by a column without
    an index. Deleting is not offered either: its confirmation page would load every row that was selected,
    and a row deleted under a worker that runs it would be a task without an ending.

    What can be done to rows are its `deeds` (actions.py), and `pages` are those of their own that hang on it.
    """

    #: Key of the tab that its list and its rows' pages stand under.
    tab: ClassVar[str] = ""
    pages: ClassVar[Sequence[type[Page]]] = ()
    #: Parts of the list, and of a row's page, that are asked for again: names and templates.
    list_fragments: ClassVar[Mapping[str, str]] = {}
    detail_fragments: ClassVar[Mapping[str, str]] = {}

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
    actions: tuple[str, ...] | None = None

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["django_tasks/admin.css"]}

    @property
    def database(self) -> str:
        """Alias of the database that has the rows."""
        return conf.current().DATABASE

    @property
    def site(self) -> AdminSite:
        return self.admin_site

    def get_urls(self) -> list[URLPattern]:
        own = [url for page in self.pages for url in page(self).urls()]
        name = self._url_name("action")
        act = path("action/<slug:name>/", self.admin_site.admin_view(self.act), name=name)
        # First, or Django takes the first word for a key.
        return [*own, act, *super().get_urls()]

    def _url_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def action_url(self, name: str) -> str:
        return reverse(f"admin:{self._url_name('action')}", args=[name], current_app=self.admin_site.name)

    def home(self) -> str:
        return reverse(f"admin:{self._url_name('changelist')}", current_app=self.admin_site.name)

    def surroundings(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, **self._more(request)}

    def _more(self, request: HttpRequest) -> dict[str, Any]:
        """What our parts of Django's own pages need."""
        request.current_app = self.admin_site.name
        return {
            "tasks_tabs": tabs_for(request, self.admin_site, self.tab),
            "tasks_actions": self.offers(request),
        }

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        """The rows with these keys. One that is gone meanwhile is not among them."""
        rows = self.get_queryset(request).filter(pk__in=[key for key in keys if self._may_be_key(key)])
        samples = list(rows[:10])
        one = samples[0] if len(samples) == 1 else None
        return Chosen(
            rows=rows,
            count=Count(rows.count() if len(samples) == 10 else len(samples)),
            samples=samples,
            id=str(one.pk) if one else "",
            name=str(one) if one else "",
        )

    def _may_be_key(self, text: str) -> bool:
        """Anybody can post anything, and databases refuse what no key can be."""
        try:
            self.opts.pk.to_python(text)
        except ValidationError:
            return False
        return True

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        name = fragments.without_its_name(request)
        more = {**self._more(request), "tasks_fragments": self.list_fragments, **(extra_context or {})}
        page = super().changelist_view(request, more)
        return fragments.answer(request, page, name, self.list_fragments) if name else page

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        name = fragments.without_its_name(request)
        more = {**self._more(request), "tasks_fragments": self.detail_fragments, **(extra_context or {})}
        page: HttpResponse = super().changeform_view(request, object_id, form_url, more)
        return fragments.answer(request, page, name, self.detail_fragments) if name else page

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(self.database).defer(*self.hidden_columns)

    def _sees_payloads(self, request: HttpRequest) -> bool:
        """May this user see what tasks are called with, and what comes of them?"""
        return request.user.has_perm("django_tasks.view_payload")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RowList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the filters offer. Others could scan the table, or guess a hidden column bit by bit."""
        return any(lookup == offered.parameter_name for offered in self.list_filter)  # type: ignore[union-attr]
