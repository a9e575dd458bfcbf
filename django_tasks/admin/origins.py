"""Because of whom a task was sent and what it is about, with links to where the site's admin shows them."""

from __future__ import annotations

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.utils.safestring import SafeString

from django_tasks import conf
from django_tasks.models import TaskResult

from . import links, times


def user(site: AdminSite, row: TaskResult) -> SafeString | str:
    """By the key: who that is, their own page says."""
    return times.NOTHING if row.user_id is None else links.to_row(site, get_user_model(), row.user_id)


def process(row: TaskResult) -> str:
    """Which process of which machine sent it: `gen4121@web-1`. As its message says."""
    order = row.order(conf.current().ACCEPT_CONTENT)
    return (order.origin if order else "") or times.NOTHING


def subject(site: AdminSite, row: TaskResult) -> SafeString | str:
    if row.subject_type is None or row.subject_id is None:
        return times.NOTHING
    model, text = _model(row.subject_type), f"{row.subject_type} {row.subject_id}"
    if model is None:  # of an app that is not installed any more
        return text
    return links.to_row(site, model, row.subject_id, f"{model._meta.verbose_name} {row.subject_id}")


def _model(label: str) -> type[Model] | None:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None
