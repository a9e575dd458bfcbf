"""What a task can be called with: a parameter of its function each, and the field of a form that asks for it."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.translation import gettext as _

from django_tasks.message.saferepr import MASK, saferepr

from . import arguments
from .task_forms import JsonField

#: Said of an argument that nobody has given: the function's default is to hold.
LEFT_OUT: Final = object()
#: What is asked for in a field of its own kind. Everything else is written as JSON.
KINDS: Final[Mapping[str, type]] = {kind.__name__: kind for kind in (str, int, float, bool)}
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
#: A browser is not to fill in what it knows, and not to remember it.
_SECRET = {"autocomplete": "new-password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    #: One of `KINDS`, or `None`: JSON.
    kind: type | None
    #: What holds if nothing is given; `LEFT_OUT` if something must be.
    default: Any
    takes_none: bool
    #: Can it not be given by its name?
    is_positional: bool
    is_secret: bool

    @property
    def is_required(self) -> bool:
        return self.default is LEFT_OUT and not self.takes_none

    @property
    def otherwise(self) -> str:
        """What is sent if nothing is given, in words."""
        if self.is_secret and self.default not in (None, LEFT_OUT):
            return MASK
        return saferepr(None if self.default is LEFT_OUT else self.default, most=80)


def parameters_of(
    function: Callable[..., Any], is_secret: Callable[[str], bool]
) -> tuple[Parameter, ...] | None:
    """Those of a task's function, in their order. `None` if it takes what it does not name (`*args`, `**kwargs`)."""
    try:
        # As a call is checked: what is called is the outermost function, whatever it wraps.
        several = inspect.signature(function, follow_wrapped=False).parameters.values()
    except ValueError:  # written in C, it does not say what it takes
        return None
    if any(one.kind in _ANY for one in several):
        return None
    hints = _hints(function)
    return tuple(_parameter(one, hints.get(one.name, one.annotation), is_secret) for one in several)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function)
    except Exception:  # noqa: BLE001 - a name that is there for type checkers only; then what is written counts
        return {}


def _parameter(one: inspect.Parameter, hint: Any, is_secret: Callable[[str], bool]) -> Parameter:
    kind, takes_none = _kind(hint)
    return Parameter(
        name=one.name,
        kind=kind,
        default=LEFT_OUT if one.default is one.empty else one.default,
        takes_none=takes_none,
        is_positional=one.kind is one.POSITIONAL_ONLY,
        is_secret=is_secret(one.name),
    )


def _kind(hint: Any) -> tuple[type | None, bool]:
    """Of `int | None` it is `int`, and whether `None` is taken as well."""
    if get_origin(hint) in (Union, types.UnionType):
        others = [each for each in get_args(hint) if each is not type(None)]
        takes_none = len(others) < len(get_args(hint))
        return (_kind(others[0])[0] if len(others) == 1 else None), takes_none
    name = hint if isinstance(hint, str) else getattr(hint, "__name__", "")
    kind = KINDS.get(name)
    return (kind if isinstance(hint, str) or hint is kind else None), False


def field_of(parameter: Parameter) -> forms.Field:
    """Asks for it; `given` says what the answer means."""
    make = {str: _text, int: _integer, float: _number, bool: _yes_or_no}.get(parameter.kind or object, _json)
    field = make(required=parameter.is_required, label=parameter.name)
    if not parameter.is_required:
        # Help is markup to a form.
        field.help_text = escape(_("If empty: %s") % parameter.otherwise)
    if parameter.is_secret and parameter.kind is not bool:
        # It never comes back in a page.
        field.widget = forms.PasswordInput(attrs=_SECRET)
        field.widget.is_required = parameter.is_required
    return field


def given(parameter: Parameter, answer: Any) -> Any:
    """What is to be sent, or `LEFT_OUT`."""
    is_empty = answer is LEFT_OUT if parameter.kind is None else answer in (None, "")
    if not is_empty:
        return answer
    return None if parameter.default is LEFT_OUT else LEFT_OUT


class AnyJson(JsonField):
    """Something must be written where something is required; that an empty list is empty is no matter."""

    empty_values = ["", LEFT_OUT]

    def to_python(self, value: Any) -> Any:
        if not str(value or "").strip():
            return LEFT_OUT
        try:
            return arguments.read([super().to_python(value)], {})[0][0]
        except ValueError as error:
            raise ValidationError(str(error)) from error


def _text(**said: Any) -> forms.Field:
    # A space at its end may be meant.
    return forms.CharField(strip=False, **said)


def _integer(**said: Any) -> forms.Field:
    return forms.IntegerField(**said)


def _number(**said: Any) -> forms.Field:
    return forms.FloatField(**said)


def _yes_or_no(**said: Any) -> forms.Field:
    # A box that is not ticked would not say whether somebody has left it so.
    choices = [("", "---------"), ("true", _("Yes")), ("false", _("No"))]
    return forms.TypedChoiceField(
        choices=choices, coerce=lambda text: text == "true", empty_value=None, **said
    )


def _json(**said: Any) -> forms.Field:
    field = AnyJson(**said)
    field.widget.attrs["rows"] = 3
    return field
