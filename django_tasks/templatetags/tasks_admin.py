"""`{% load tasks_admin %}`: how the admin's pages show states, moments, spans and numbers, and offer actions."""

from __future__ import annotations

import datetime as dt
from typing import Any

import django
from django import template
from django.apps import apps
from django.contrib.admin import AdminSite
from django.db.models import Model
from django.template import Context
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_tasks.admin import badges, links, numbers, times
from django_tasks.admin.actions import Offer
from django_tasks.models import Worker

register = template.Library()


@register.filter
def tasks_worker_badge(row: Worker) -> SafeString:
    """How a worker is."""
    return badges.of_worker(row)


@register.filter
def tasks_moment(value: dt.datetime | None) -> SafeString | str:
    """How long ago; the exact time is in the tooltip."""
    return times.moment(value)


@register.filter
def tasks_span(value: dt.timedelta | float | None) -> str:
    """How long something took, or seconds."""
    return times.span(dt.timedelta(seconds=value) if isinstance(value, (int, float)) else value)


@register.filter
def tasks_number(value: float | None) -> str:
    """`12,345`, or `10,000+`, as it is written in the user's language."""
    return numbers.told(value)


@register.filter
def tasks_bytes(value: int | None) -> str:
    """`212.4 MB`, as it is written in the user's language."""
    return times.NOTHING if value is None else filesizeformat(value)


@register.simple_tag
def tasks_paused() -> SafeString:
    """That a queue is paused."""
    return badges.PAUSED.__html__()


@register.simple_tag
def tasks_row_link(site: AdminSite, row: Model, text: object = None) -> SafeString:
    """To a row's own page."""
    return links.to_row(site, type(row), str(row.pk), f"#{row.pk}" if text is None else text)


@register.simple_tag
def tasks_action(offer: Offer | None, key: object = "", label: str = "") -> SafeString | str:
    """The button of one action, about the row with this key: `{% tasks_action tasks_actions.retry row.pk %}`.

    Nothing where the user may not do it, which is then not among `tasks_actions`.
    """
    if not offer:
        return ""
    action = offer.action
    return format_html(
        '<button type="submit" form="tasks-act" formaction="{}" name="row" value="{}" class="tasks-button{}"'
        ' title="{}">{}</button>',
        offer.url,
        key,
        " tasks-danger" if action.is_dangerous else "",
        action.description,
        label or action.label,
    )


@register.simple_tag(takes_context=True)
def tasks_fragment(context: Context, name: str) -> SafeString:
    """A part of the page that is kept up to date, by the template that the page names for it, if this user sees it."""
    template = context["tasks_fragments"].get(name)
    if template is None:
        return SafeString()
    found = context.template.engine.get_template(template)  # type: ignore[union-attr]
    with context.push():
        return format_html(
            '<section data-tasks-live="{}">{}</section>', name, SafeString(found.nodelist.render(context))
        )


@register.inclusion_tag("admin/django_tasks/breadcrumbs.html", takes_context=True)
def tasks_breadcrumbs(context: Context, title: object, *before: object) -> dict[str, Any]:
    """The way to a page of ours, in the markup of this Django: `before` are titles and addresses in turn."""
    steps = [*zip(before[::2], before[1::2], strict=True), (title, "")]
    return {
        "request": context.get("request"),
        "is_list": django.VERSION >= (6, 1),
        "app_name": apps.get_app_config("django_tasks").verbose_name,
        "steps": steps,
    }
