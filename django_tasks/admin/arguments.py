"""The arguments of a task as JSON that people may see and change: secrets are masked, and stay what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from django.utils.translation import gettext as _

from django_tasks import conf
from django_tasks.definition.order import names_of
from django_tasks.exceptions import DecodeError, EncodeError
from django_tasks.message.saferepr import MASK, is_secret
from django_tasks.message.serialization import dumps, is_deeper, loads
from django_tasks.models import TaskResult

from . import declared

JSON = "application/json"
#: Containers inside one another that are opened: each takes of Python's stack, of which a page has used much already.
DEEPEST = 100
#: What kombu makes of a value that JSON does not have.
TYPE, VALUE = "__type__", "__value__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The arguments as they were sent, in plain JSON; `redact` has the parts of names that are secret."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    names: tuple[str, ...]
    redact: tuple[str, ...]

    @property
    def masked(self) -> tuple[list[Any], dict[str, Any]]:
        names = dict(enumerate(self.names))
        args = [_masked(value, self.redact, names.get(place)) for place, value in enumerate(self.args)]
        return args, {name: _masked(value, self.redact, name) for name, value in self.kwargs.items()}

    def shown(self) -> tuple[str, str]:
        """Both as texts, without secrets."""
        args, kwargs = self.masked
        return _text(args), _text(kwargs)

    def revealed(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """What was written instead; a mask that was left stands for what it hid. Raises `ValueError` if nothing."""
        masked_args, masked_kwargs = self.masked
        return _revealed(args, masked_args, self.args), _revealed(kwargs, masked_kwargs, self.kwargs)


def of(row: TaskResult) -> Known | None:
    """Those of a task that can be read, and be written as JSON."""
    order = row.order(conf.current().ACCEPT_CONTENT)
    if order is None:
        return None
    try:
        written = dumps([list(order.args), dict(order.kwargs)]).body
        args, kwargs = json.loads(written)
    except (EncodeError, ValueError, RecursionError):
        return None
    if is_deeper([args, kwargs], DEEPEST, size=len(written)):
        return None
    # First, as it imports the tasks' modules: a task says what its arguments are called, too.
    redact = declared.secrets_of(row.task)
    return Known(args=args, kwargs=kwargs, names=names_of(row.task), redact=redact)


def read(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Plain JSON as the values it stands for: moments, decimals and the like. Raises `ValueError`."""
    try:
        text = json.dumps([args, kwargs])
        found = loads(text, content_type=JSON, content_encoding="utf-8", accept=("json",))
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return found[0], found[1]


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _masked(value: Any, redact: tuple[str, ...], name: object) -> Any:
    if is_secret(name, redact):
        return MASK
    if isinstance(value, dict):
        # Their names are not the sender's: what stands there is one value, shown or not.
        is_marked = value.keys() == {TYPE, VALUE}
        return {key: _masked(item, redact, None if is_marked else key) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, redact, None) for item in value]
    return value


def _revealed(value: Any, masked: Any, before: Any) -> Any:
    """`value` was written where `masked` was shown of what was there before."""
    if value == MASK:
        if masked != MASK:
            raise ValueError(_("%s stands for nothing there: write the value.") % MASK)
        return before
    if isinstance(value, dict):
        shown = masked if isinstance(masked, dict) else {}
        return {
            key: _revealed(item, shown.get(key), before[key] if key in shown else None)
            for key, item in value.items()
        }
    if isinstance(value, list):
        # Of more or fewer of them, nobody knows which one is which.
        is_same = isinstance(masked, list) and len(masked) == len(value)
        pairs = zip(masked, before, strict=True) if is_same else repeat((None, None))
        return [_revealed(item, *pair) for item, pair in zip(value, pairs, strict=False)]
    return value
