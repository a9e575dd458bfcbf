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
    return _to(site, model, "change", [quote(id)], {}, id if text is None else text)


def to_list(site: AdminSite, model: type[Model], text: object, **query: str) -> SafeString:
    """To the rows that a filter leaves."""
    return _to(site, model, "changelist", [], query, text)


def _to(
    site: AdminSite, model: type[Model], page: str, args: list[str], query: dict[str, str], text: object
) -> SafeString:
    if not site.is_registered(model):
        return format_html("{}", text)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    path = reverse(name, args=args, current_app=site.name)
    return format_html('<a href="{}{}">{}</a>', path, f"?{urlencode(query)}" if query else "", text)
