"""Links between the pages of our rows, on whichever admin site they are shown."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


def to_row(site: AdminSite, model: type[Model], id: str, text: object = None) -> SafeString:
    """To a row's own page, which is not asked whether it is there."""
    return _to(url_of(site, model, id), id if text is None else text)


def to_list(site: AdminSite, model: type[Model], text: object, **query: str) -> SafeString:
    """To the rows that a filter leaves."""
    return _to(url_of_list(site, model, **query), text)


def url_of(site: AdminSite, model: type[Model], id: str) -> str:
    """The address of a row's own page, or nothing where the site does not show its model."""
    return _url(site, model, "change", [quote(id)]) if site.is_registered(model) else ""


def url_of_list(site: AdminSite, model: type[Model], **query: str) -> str:
    """The address of the rows that a filter leaves, or nothing where the site does not show the model."""
    if not site.is_registered(model):
        return ""
    path = _url(site, model, "changelist", [])
    return f"{path}?{urlencode(query)}" if query else path


def _to(url: str, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', url, text) if url else format_html("{}", text)


def _url(site: AdminSite, model: type[Model], page: str, args: list[str]) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=args, current_app=site.name)
