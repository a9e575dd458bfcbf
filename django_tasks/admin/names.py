"""What a task is called where there is little room: its name, and below it the end of its id and its arguments."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks.models import TaskResult

from . import texts

#: Ids begin with the time, so those of one page begin alike; no longer ones are shown in full.
END, SHORT = 8, 12


def short(name: str) -> str:
    """`pay` of `shop.tasks.pay`."""
    return name.rpartition(".")[2] or name


def in_list(row: TaskResult, given: str = "") -> SafeString:
    """Two lines. A click on the id copies it."""
    id = format_html(
        '<span class="tasks-id" data-tasks-copy="{}" title="{}: {}">{}</span>',
        row.id,
        _("Copy the id"),
        row.id,
        row.id if len(row.id) <= SHORT else f"…{row.id[-END:]}",
    )
    second = format_html("{} {}", id, texts.line(given, quiet=True)) if given else id
    return format_html(
        '{}<span class="tasks-second">{}</span>', texts.line(short(row.task), title=row.task), second
    )
