"""What is asked before something is done to tasks."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks.brokers import queues
from django_tasks.definition import order

from . import arguments


class RescheduleForm(forms.Form):
    due = forms.DateTimeField(
        label=gettext_lazy("Run at"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
        help_text=gettext_lazy("In the time zone of this site."),
    )

    def clean_due(self) -> str:
        """As a message carries it."""
        due: dt.datetime = self.cleaned_data["due"]
        return due.astimezone(dt.UTC).isoformat()


class MoveForm(forms.Form):
    queue = forms.ChoiceField(label=gettext_lazy("Queue"), required=False)
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        required=False,
        min_value=0,
        max_value=9,
        help_text=gettext_lazy("0 is served first, 9 last."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stays = [("", _("as it is"))]
        self.fields["queue"].choices = [*stays, *((name, name) for name in queues.declared())]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("queue") and cleaned.get("priority") is None:
            raise ValidationError(_("Choose another queue, or another priority."))
        return cleaned


class JsonField(forms.JSONField):
    """A value as JSON; what was typed stays as it was typed."""

    widget = forms.Textarea(attrs={"rows": 8, "cols": 60, "spellcheck": "false", "class": "tasks-code"})

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else super().prepare_value(value)


class EditForm(forms.Form):
    """The arguments as JSON. What is masked stays as it was."""

    args = JsonField(label=gettext_lazy("Positional arguments"), required=False)
    kwargs = JsonField(
        label=gettext_lazy("Keyword arguments"),
        required=False,
        help_text=gettext_lazy("JSON. What is masked as ******** stays as it was, if you leave it."),
    )

    def __init__(self, data: Any, *, known: arguments.Known, task: str) -> None:
        self.known = known
        self.task = task
        args, kwargs = known.shown()
        super().__init__(data, initial={"args": args, "kwargs": kwargs})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        args, kwargs = cleaned.get("args") or [], cleaned.get("kwargs") or {}
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise ValidationError(_("Positional arguments are a list, keyword arguments an object."))
        try:
            args, kwargs = arguments.read(*self.known.revealed(args, kwargs))
            order.check_arguments(self.task, tuple(args), kwargs)
        except (TypeError, ValueError) as error:
            raise ValidationError(str(error)) from error
        return {"args": args, "kwargs": kwargs}
