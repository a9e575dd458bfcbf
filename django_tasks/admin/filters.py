"""Filters whose choices are known without asking the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_tasks import registry
from django_tasks.brokers import queues
from django_tasks.models import QueuedMessage

from .badges import STATUSES


class KnownValues(admin.SimpleListFilter):
    """Rows whose column has one of the values we know; the column is the parameter's name.

    Another value can be asked for in the URL, such as a custom state or a foreign sender's queue; then it
    stands among the choices.
    """

    parameter_name: str

    def known(self) -> Iterable[tuple[str, Any]]:
        """Values and what they are called."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        known = list(self.known())
        asked = self.value()
        if asked is not None and asked not in dict(known):
            known.append((asked, asked))
        return known

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        return queryset if asked is None else self.having(queryset, asked)

    def having(self, rows: Any, value: str) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name: value})  # type: ignore[no-any-return]


class StatusFilter(KnownValues):
    title = _("status")
    parameter_name = "status"

    def known(self) -> Iterable[tuple[str, Any]]:
        return ((status, badge.label) for status, badge in STATUSES.items())

    def having(self, rows: Any, value: str) -> QuerySet[Any]:
        return rows.with_status(value)  # type: ignore[no-any-return]


class TaskFilter(KnownValues):
    title = _("task")
    parameter_name = "task"

    def known(self) -> Iterable[tuple[str, Any]]:
        # Imports the tasks' modules, once. What one of them raises is for the system checks to tell.
        registry.import_errors()
        return ((name, name) for name in sorted(registry.tasks))


class QueueFilter(KnownValues):
    title = _("queue")
    parameter_name = "queue"

    def known(self) -> Iterable[tuple[str, Any]]:
        return ((name, name) for name in queues.declared())


class GroupFilter(KnownValues):
    """The tasks of one group, to which other pages link. It offers nothing by itself."""

    title = _("group")
    parameter_name = "group_id"

    def known(self) -> Iterable[tuple[str, Any]]:
        return ()

    def having(self, rows: Any, value: str) -> QuerySet[Any]:
        return rows.none() if "\x00" in value else rows.filter(group_id=value)  # type: ignore[no-any-return]


class OriginFilter(GroupFilter):
    """A task and all that came of it."""

    title = _("what came of")
    parameter_name = "origin"

    def having(self, rows: Any, value: str) -> QuerySet[Any]:
        return rows.none() if "\x00" in value else rows.came_of(value)  # type: ignore[no-any-return]


class StateFilter(KnownValues):
    title = _("state")
    parameter_name = "state"

    def known(self) -> Iterable[tuple[str, Any]]:
        return QueuedMessage.State.choices
