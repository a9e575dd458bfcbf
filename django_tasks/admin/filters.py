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
from django_tasks.steering import matching

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


class TaskParameter(KnownValues):
    """What the list of tasks is asked for, in the way in which it is asked for elsewhere as well."""

    def having(self, rows: Any, value: str) -> QuerySet[Any]:
        return matching.having(rows, self.parameter_name, value)


class StatusFilter(TaskParameter):
    title = _("status")
    parameter_name = "status"

    def known(self) -> Iterable[tuple[str, Any]]:
        return ((status, badge.label) for status, badge in STATUSES.items())


class TaskFilter(TaskParameter):
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


class WindowFilter(TaskParameter):
    title = _("sent")
    parameter_name = "window"

    def known(self) -> Iterable[tuple[str, Any]]:
        names = (
            _("in the last hour"),
            _("in the last 24 hours"),
            _("in the last 7 days"),
            _("in the last 30 days"),
        )
        return zip(matching.WINDOWS, names, strict=True)


class SlowerFilter(TaskParameter):
    title = _("run time")
    parameter_name = "slower"

    def known(self) -> Iterable[tuple[str, Any]]:
        return (
            ("1", _("1 s or more")),
            ("10", _("10 s or more")),
            ("60", _("1 min or more")),
            ("600", _("10 min or more")),
        )


class AttemptsFilter(TaskParameter):
    title = _("attempts")
    parameter_name = "attempts"

    def known(self) -> Iterable[tuple[str, Any]]:
        return ((str(number), _("%d or more") % number) for number in (2, 3, 5))


class GroupFilter(TaskParameter):
    """The tasks of one group, to which other pages link. It offers nothing by itself."""

    title = _("group")
    parameter_name = "group_id"

    def known(self) -> Iterable[tuple[str, Any]]:
        return ()


class OriginFilter(GroupFilter):
    """A task and all that came of it."""

    title = _("what came of")
    parameter_name = "origin"


class KindFilter(GroupFilter):
    """The failures of one kind, to which their page links."""

    title = _("kind of failure")
    parameter_name = "fingerprint"


class SubjectFilter(GroupFilter):
    """What was sent about one object of the project."""

    title = _("subject")
    parameter_name = "subject"


class StateFilter(KnownValues):
    title = _("state")
    parameter_name = "state"

    def known(self) -> Iterable[tuple[str, Any]]:
        return QueuedMessage.State.choices
