"""Pages of their own within the admin, beside Django's lists and forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from django_tasks.models.counting import Count

from . import fragments
from .acting import Acting
from .actions import Chosen
from .tabs import SEE_TASKS, tabs_for

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from .rows import RowAdmin


class Page(Acting):
    """A page that hangs on the admin of a model, which names it in `pages`; its URL's name is `django_tasks_<key>`.

        class QueuesPage(Page):
            key = "queues"
            title = _("Queues")
            template = "admin/django_tasks/queues.html"
            fragments = {"queues": "admin/django_tasks/queues_table.html"}

            def context(self, request):
                return {"queues": …}

    Each fragment is a template of its own, with the page's context, that the page includes by
    `{% tasks_fragment "queues" %}`. What is costly in `context` is best made when a template asks for it: a fragment
    asks for its part only. The page's template extends `admin/django_tasks/page.html`.
    """

    key: ClassVar[str]
    title: ClassVar[StrOrPromise]
    template: ClassVar[str]
    fragments: ClassVar[Mapping[str, str]] = {}
    #: Key of the tab that it stands under, if it is not a tab of its own.
    tab: ClassVar[str] = ""
    #: Who may see it.
    permission: ClassVar[str] = SEE_TASKS

    def __init__(self, admin: RowAdmin) -> None:
        self.admin = admin
        #: Under which the log has what is done here.
        self.model = admin.model

    @property
    def site(self) -> AdminSite:
        return self.admin.admin_site

    def urls(self) -> list[URLPattern]:
        name = f"django_tasks_{self.key}"
        wrap = self.site.admin_view
        return [
            path(f"{self.key}/", wrap(self.view), name=name),
            path(f"{self.key}/action/<slug:name>/", wrap(self.act), name=f"{name}_action"),
        ]

    def may_see(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.permission)

    def context(self, request: HttpRequest) -> dict[str, Any]:
        """What the template needs."""
        raise NotImplementedError

    def view(self, request: HttpRequest) -> HttpResponse:
        if not self.may_see(request):
            raise PermissionDenied
        if "\x00" in request.path:
            raise Http404("Nothing has such a name: databases refuse it.")
        name = fragments.without_its_name(request)
        page = TemplateResponse(
            request, self.template, {**self.surroundings(request), **self.context(request)}
        )
        return fragments.answer(request, page, name, self.fragments_for(request)) if name else page

    def fragments_for(self, request: HttpRequest) -> Mapping[str, str]:
        """Those that this user is shown, on the page or by themselves."""
        return self.fragments

    def surroundings(self, request: HttpRequest) -> dict[str, Any]:
        """What every page of ours needs besides its own."""
        request.current_app = self.site.name
        return {
            **self.site.each_context(request),
            "title": self.title,
            "opts": self.model._meta,
            "tasks_tabs": tabs_for(request, self.site, self.tab or self.key),
            "tasks_fragments": self.fragments_for(request),
            "tasks_actions": self.offers(request),
        }

    def action_url(self, name: str) -> str:
        return reverse(f"admin:django_tasks_{self.key}_action", args=[name], current_app=self.site.name)

    def home(self) -> str:
        return reverse(f"admin:django_tasks_{self.key}", current_app=self.site.name)

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        """Where there is no model of what is listed, the keys are what an action is done to."""
        one = keys[0] if len(keys) == 1 else ""
        return Chosen(rows=list(keys), count=Count(len(keys)), samples=keys[:10], id=one, name=one)
