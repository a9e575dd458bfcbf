"""What operators did, as Django's log of the admin keeps it: written with each action, and read again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from .actions import Action, Chosen

#: How an action is written down: `retry (412): 412 tasks are sent again.` Django's own pages show it as it is.
WRITTEN = re.compile(r"(?P<name>[\w-]+) \((?P<count>[\d,]+\+?)\): (?P<told>.*)", re.DOTALL)


def write(request: HttpRequest, model: type[Model], action: Action, chosen: Chosen, told: str) -> LogEntry:
    """One entry for one action, however many rows it was about."""
    several = f"{chosen.count} {model._meta.verbose_name_plural}"
    return LogEntry.objects.create(
        user_id=str(request.user.pk),
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_id=chosen.id or None,
        object_repr=(chosen.name or several)[:200],
        action_flag=_flag(action),
        change_message=f"{action.name} ({chosen.count}): {told}",
    )


def _flag(action: Action) -> int:
    """In the three words that Django's log has."""
    if action.name == "enqueue":
        return ADDITION
    return DELETION if action.name.startswith("delete") else CHANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry, taken apart for the page."""

    row: LogEntry
    name: str
    count: str
    told: str
    url: str


def read(row: LogEntry, url: str) -> Entry:
    """Entries of Django's own are told in its words."""
    said = row.get_change_message()
    found = WRITTEN.fullmatch(said)
    if found is None:
        return Entry(row=row, name=row.get_action_flag_display(), count="1", told=said, url=url)
    return Entry(row=row, name=found["name"], count=found["count"], told=found["told"], url=url)


def ours() -> QuerySet[LogEntry]:
    """The entries about rows of this app, the newest first."""
    # By their keys, which are few: a join would have the database begin with the types.
    types = list(ContentType.objects.filter(app_label="django_tasks").values_list("pk", flat=True))
    return LogEntry.objects.filter(content_type__in=types).order_by("-pk")
