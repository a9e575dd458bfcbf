"""What an operator can do to a queue as a whole. Keys are the queues' names: there is no table of queues."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_tasks import app
from django_tasks.brokers import queues
from django_tasks.brokers.handler import broker
from django_tasks.dispatch import moving, purging
from django_tasks.exceptions import OperationalError, UnknownQueue

from . import times
from .actions import deed, refusing

#: Messages that are moved or thrown away by one click, about: nobody is to wait longer for the answer.
MOST = 10_000


class PauseForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=1000,
        required=False,
        help_text=gettext_lazy("Shown to everybody who looks after the queues."),
    )
    until = forms.DateTimeField(
        label=gettext_lazy("Until"),
        required=False,
        validators=[times.to_come],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=gettext_lazy(
            "Served again by itself then. Leave it empty to pause until somebody resumes it."
        ),
    )


class MoveForm(forms.Form):
    to = forms.ChoiceField(label=gettext_lazy("To"))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["to"].choices = [(name, name) for name in queues.declared()]  # type: ignore[attr-defined]


@deed(
    gettext_lazy("Pause"),
    "pause_queue",
    gettext_lazy("No worker takes anything more from it. What runs goes on, and so does sending to it."),
    form=PauseForm,
)
def pause(request: HttpRequest, rows: Sequence[str], reason: str, until: dt.datetime | None) -> str:
    who = request.user.get_username()
    _each(rows, lambda name: app.control.pause_queue(name, reason, until, who))
    return _("No worker takes from %(queues)s any more. %(reason)s") % {
        "queues": ", ".join(rows),
        "reason": reason,
    }


@deed(
    gettext_lazy("Resume"),
    "pause_queue",
    gettext_lazy("Workers take from it again, within about a second."),
)
def resume(request: HttpRequest, rows: Sequence[str]) -> str:
    for name in rows:
        app.control.resume_queue(name)
    return _("Served again: %s.") % ", ".join(rows)


@deed(
    gettext_lazy("Purge"),
    "purge_queue",
    gettext_lazy(
        "What is ready is thrown away and its tasks end as revoked, with what was to come after them. "
        "What is due later, runs, or was set aside stays. There is no way back."
    ),
    is_dangerous=True,
    word_from=0,
)
def purge(request: HttpRequest, rows: Sequence[str]) -> str:
    numbers = _each(rows, lambda name: purging.purge(name, MOST))
    told = ngettext(
        "%(number)d message was thrown away and its task ended.",
        "%(number)d messages were thrown away and their tasks ended.",
        sum(numbers),
    )
    # A broker of its own empties a queue at once.
    return told % {"number": sum(numbers)} + (_rest(numbers) if broker().is_embedded else "")


@deed(
    gettext_lazy("Move"),
    "move_task",
    gettext_lazy(
        "What is ready or due later waits in another queue, as urgent and as old as it is. "
        "A broker of its own puts it behind what is there."
    ),
    form=MoveForm,
)
def move(request: HttpRequest, rows: Sequence[str], to: str) -> str:
    numbers = _each(rows, lambda name: moving.move(name, to, MOST))
    told = ngettext(
        "%(number)d message waits in %(to)s now.", "%(number)d messages wait in %(to)s now.", sum(numbers)
    )
    return told % {"number": sum(numbers), "to": to} + _rest(numbers)


#: In the order of their buttons.
DEEDS = (pause, resume, purge, move)


def _each(names: Sequence[str], do: Callable[[str], int]) -> list[int]:
    with refusing(UnknownQueue, OperationalError, ValueError):
        return [do(name) for name in names]


def _rest(numbers: Sequence[int]) -> str:
    if max(numbers) < MOST:
        return ""
    return " " + _("That is as many as are done at a time: the rest is still there.")
