"""What an operator can do to rows: by POST, with a permission of its own, and written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpRequest

from django_tasks.models.counting import Count

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Does it, and says what became of it. `rows` are a QuerySet of the model, or the keys where there is no model;
#: what the form asked for comes by keyword.
Perform = Callable[..., str]

#: So many rows may be acted on without more than a button.
PLAIN = 1_000


class Refused(Exception):
    """An action cannot be done; the message is told to the operator, and nothing is written down."""


@contextmanager
def refusing(*kinds: type[Exception]) -> Iterator[None]:
    """What raises one of these cannot be done: its message is told."""
    try:
        yield
    except kinds as error:
        raise Refused(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What an action is about to be done to, as its confirmation tells it."""

    rows: Any
    count: Count
    samples: Sequence[object] = ()
    #: Is it more than what the user has seen and ticked? Then it is confirmed, whatever is to be done.
    is_everything: bool = False
    #: What the confirmation is to carry along besides, so that it is about the same rows.
    carried: Mapping[str, str] = field(default_factory=dict)
    #: What one row is called in the log, where there is one only.
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something to be done to rows.

    `name` is part of its URL and stands in the log. `permission` is a codename of this app. One that `is_dangerous`,
    or that asks for something with a `form`, is confirmed on a page of its own; for more rows than `word_from` the
    operator types its name there; with `None` never.
    """

    name: str
    label: StrOrPromise
    permission: str
    perform: Perform
    description: StrOrPromise = ""
    is_dangerous: bool = False
    form: type[forms.Form] | None = None
    #: Makes the form where what was chosen has a say in it. Raises `Refused` if there is nothing to ask.
    form_of: Callable[[HttpRequest, Chosen, Any], forms.Form] | None = None
    #: Codenames that are needed besides.
    also: tuple[str, ...] = ()
    word_from: int | None = PLAIN
    #: Does it need rows? One that does not is done to the page as a whole.
    takes_rows: bool = True
    #: Is it offered for rows that were ticked in a list?
    is_for_many: bool = True

    def is_allowed(self, request: HttpRequest) -> bool:
        return request.user.has_perms([f"django_tasks.{name}" for name in (self.permission, *self.also)])

    @property
    def is_confirmed(self) -> bool:
        """Is there a page between the button and the deed?"""
        return self.is_dangerous or self.form is not None or self.form_of is not None


def deed(
    label: StrOrPromise, permission: str, description: StrOrPromise, **more: Any
) -> Callable[[Perform], Action]:
    """Make an action of the function that does it, by whose name it goes.

    @deed(_("Wave"), "view_worker", _("It sees that somebody is there."))
    def wave(request, rows):
        return _("%d workers were waved at.") % rows.count()
    """

    def as_action(perform: Perform) -> Action:
        return Action(
            name=perform.__name__,
            label=label,
            permission=permission,
            perform=perform,
            description=description,
            **more,
        )

    return as_action


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An action that this user may do on this page: what a button needs to know."""

    action: Action
    url: str


def named(actions: Iterable[Action], name: str) -> Action | None:
    return next((action for action in actions if action.name == name), None)
