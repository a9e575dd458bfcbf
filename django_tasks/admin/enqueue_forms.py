"""What is asked before a task is sent: which one, with what, when and where."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks import conf, registry
from django_tasks.brokers import queues
from django_tasks.definition import order
from django_tasks.message.saferepr import is_secret
from django_tasks.results.async_result import AsyncResult

from . import arguments, times
from .parameters import LEFT_OUT, Parameter, field_of, given, parameters_of
from .task_forms import JsonField

#: Names of what is no task of the project's: ours, and those of which workflows are made.
OWN = ("django_tasks.", "celery.")
#: Before the names of parameters, which may be called as our own fields are.
PREFIX = "argument-"


def tasks() -> list[str]:
    """The names of those that can be sent by hand."""
    # Imports the tasks' modules, once. What one of them raises is for the system checks to tell.
    registry.import_errors()
    return sorted(name for name in registry.tasks if not name.startswith(OWN))


class ChooseForm(forms.Form):
    task = forms.ChoiceField(label=gettext_lazy("Task"))

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.fields["task"].choices = [(name, name) for name in tasks()]  # type: ignore[attr-defined]


class EnqueueForm(forms.Form):
    """When and where; before that comes what the task is called with, which `call` has in the end."""

    required_css_class = "required"

    due = forms.DateTimeField(
        label=gettext_lazy("Run at"),
        required=False,
        validators=[times.to_come],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}),
        help_text=gettext_lazy("In the time zone of this site. Leave it empty to have it run now."),
    )
    queue = forms.ChoiceField(label=gettext_lazy("Queue"), required=False)

    def __init__(self, task: Any, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        # Templates call what can be called: to name it there would be to run the task.
        self._task = task
        usual = [("", _("as the task says"))]
        self.fields["queue"].choices = [*usual, *((name, name) for name in queues.declared())]  # type: ignore[attr-defined]
        self.fields = {**self.asked(), **self.fields}

    @property
    def name(self) -> str:
        """Of the task."""
        return str(self._task.name)

    def asked(self) -> dict[str, forms.Field]:
        raise NotImplementedError

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        args, kwargs = self.call()
        try:
            order.check_arguments(self.name, tuple(args), kwargs)
        except TypeError as error:
            raise ValidationError(str(error)) from error
        return cleaned

    def send(self) -> AsyncResult[Any]:
        """Raises what the task's `apply_async` raises."""
        args, kwargs = self.call()
        said = {"eta": self.cleaned_data["due"], "queue": self.cleaned_data["queue"]}
        options = {name: value for name, value in said.items() if value}
        sent: AsyncResult[Any] = self._task.apply_async(args, kwargs, **options)
        return sent


class ParametersForm(EnqueueForm):
    """A field for each parameter of the task's function."""

    def __init__(self, task: Any, parameters: tuple[Parameter, ...], data: Any = None) -> None:
        self.parameters = parameters
        super().__init__(task, data)

    def asked(self) -> dict[str, forms.Field]:
        return {PREFIX + one.name: field_of(one) for one in self.parameters}

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        said = {one.name: given(one, self.cleaned_data[PREFIX + one.name]) for one in self.parameters}
        places = [one for one in self.parameters if one.is_positional]
        # Before the last that is given none can be left out.
        last = max((place for place, one in enumerate(places) if said[one.name] is not LEFT_OUT), default=-1)
        in_place = {one.name: said.pop(one.name) for one in places}
        args = [
            one.default if in_place[one.name] is LEFT_OUT else in_place[one.name]
            for one in places[: last + 1]
        ]
        return args, {name: value for name, value in said.items() if value is not LEFT_OUT}


class JsonForm(EnqueueForm):
    """Of a task that takes what it does not name: both kinds of arguments as they travel."""

    def asked(self) -> dict[str, forms.Field]:
        return {
            "args": JsonField(label=_("Positional arguments"), required=False, help_text='JSON: ["Ada", 42]'),
            "kwargs": JsonField(
                label=_("Keyword arguments"), required=False, help_text='JSON: {"name": "Ada"}'
            ),
        }

    def clean_args(self) -> list[Any]:
        args = self.cleaned_data["args"] or []
        if not isinstance(args, list):
            raise ValidationError(_("Positional arguments are a list."))
        return list(_read(args))

    def clean_kwargs(self) -> dict[str, Any]:
        kwargs = self.cleaned_data["kwargs"] or {}
        if not isinstance(kwargs, dict):
            raise ValidationError(_("Keyword arguments are an object."))
        return dict(_read(kwargs))

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        return self.cleaned_data["args"], self.cleaned_data["kwargs"]


def form_of(task: Any, data: Mapping[str, Any] | None = None) -> EnqueueForm:
    """The form for this task."""
    redact = (*conf.current().REDACT, *task.redact)
    parameters = parameters_of(task.run, partial(is_secret, redact=redact))
    return JsonForm(task, data) if parameters is None else ParametersForm(task, parameters, data)


def _read(value: Any) -> Any:
    try:
        return arguments.read(value, {})[0]
    except ValueError as error:
        raise ValidationError(str(error)) from error
