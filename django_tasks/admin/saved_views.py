"""Views of the list of tasks that a user has saved: shown to nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.http import HttpRequest, QueryDict
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks import conf
from django_tasks.models import SavedView
from django_tasks.models.saved_view import LONGEST, SavedViewQuerySet
from django_tasks.steering import matching

from .actions import Action, Offer, Refused
from .pages import Page
from .rows import RowAdmin

#: Views that one user may save: all of them stand above the list.
MOST = 30


class NameForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)


def save(request: HttpRequest, rows: Sequence[str], name: str) -> str:
    """The key is the query itself."""
    query = written(QueryDict(rows[0]).dict())
    if not query:
        raise Refused(_("There is nothing to save: choose a filter, or search for something."))
    if len(query) > LONGEST:
        raise Refused(_("That is too long to be saved."))
    views, owner = _views(), request.user.pk
    if not views.of(owner).filter(name=name).exists() and views.of(owner).count() >= MOST:
        raise Refused(_("There are %d saved views. Delete one of them first.") % MOST)
    views.save_as(owner, name, query)
    return _("Saved as %s.") % name


def delete(request: HttpRequest, rows: Sequence[str]) -> str:
    keys = [key for key in rows if key.isdecimal() and len(key) < 19]
    views = list(_views().of(request.user.pk).filter(pk__in=keys))
    if not views:
        raise Refused(_("You have no such saved view."))
    _views().of(request.user.pk).filter(pk__in=[view.pk for view in views]).delete()
    return _("Deleted: %s.") % ", ".join(view.name for view in views)


SAVE = Action(
    name="save_view",
    label=gettext_lazy("Save this view"),
    permission="view_taskresult",
    perform=save,
    form=NameForm,
    description=gettext_lazy("Keep these filters and this search under a name. Only you see it."),
)
DELETE = Action(
    name="delete_view",
    label=gettext_lazy("Delete this view"),
    permission="view_taskresult",
    perform=delete,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    view: SavedView
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What stands above the list."""

    links: Sequence[Link]
    delete: Offer
    #: Where to save what the list shows, and what that is; nothing if there is no point in it.
    save: Offer | None
    query: str


class SavedViewsPage(Page):
    """No page, but what can be done on that of the tasks."""

    key = "views"
    tab = "tasks"
    title = gettext_lazy("Saved views")
    deeds = (SAVE, DELETE)

    def __init__(self, admin: RowAdmin) -> None:
        super().__init__(admin)
        self.model = SavedView

    def urls(self) -> list[URLPattern]:
        act = self.site.admin_view(self.act)
        return [path("views/action/<slug:name>/", act, name="django_tasks_views_action")]

    def home(self) -> str:
        return self.admin.home()

    def shown(self, request: HttpRequest, asked: Mapping[str, str]) -> Shown | None:
        """One statement; nothing for those who may not save any."""
        query, offers = written(asked), self.offers(request)
        if not offers:
            return None
        views = list(_views().of(request.user.pk).order_by("name")[:MOST])
        is_new = query and query not in {view.query for view in views}
        return Shown(
            links=[Link(view=view, is_current=view.query == query) for view in views],
            delete=offers[DELETE.name],
            save=offers[SAVE.name] if is_new else None,
            query=query,
        )


def written(parameters: Mapping[str, Any]) -> str:
    """What of them is known to the list, in one order: so the same view is the same text."""
    known = matching.known(parameters)
    return urlencode(sorted(item for item in known.items() if item != (matching.QUERY, "")))


@receiver(post_delete, sender=settings.AUTH_USER_MODEL)
def delete_those_of(instance: Any, using: str, **_signal: Any) -> None:
    """Nobody is to inherit them. Where users have a database of their own, theirs stay."""
    if using == conf.current().DATABASE:
        _views().of(instance.pk).delete()


def _views() -> SavedViewQuerySet:
    views: SavedViewQuerySet = SavedView.objects.using(conf.current().DATABASE)
    return views
