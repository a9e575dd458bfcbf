"""What can be done about failures of one kind: to all of their tasks, or to what is told of them."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks import clock, conf
from django_tasks.models import FailureGroup
from django_tasks.models.failure import FailureGroupQuerySet
from django_tasks.steering.selection import Selection

from . import task_deeds
from .actions import deed


class NoteForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("What is known of it, for those who see it next."),
    )


def tasks_of(kind: FailureGroup) -> Selection:
    """Those whose rows are still there."""
    return Selection.shown({"fingerprint": kind.fingerprint})


@deed(
    gettext_lazy("Retry all"),
    "retry_task",
    gettext_lazy(
        "Send all tasks that failed so again, each as a task of its own. Those that were sent again from here "
        "before are left out."
    ),
    form=forms.Form,
)
def retry(request: HttpRequest, rows: Sequence[FailureGroup]) -> str:
    # Always the same seed: what was sent again from here is not sent again once more, however often this is pressed.
    return " ".join(
        task_deeds.do("retry", tasks_of(kind), seed=f"all of {kind.fingerprint}") for kind in rows
    )


@deed(
    gettext_lazy("Acknowledge"),
    "change_failuregroup",
    gettext_lazy("Say that you know. It is shown as news again when it comes again."),
    form=NoteForm,
    word_from=None,
)
def acknowledge(request: HttpRequest, rows: Sequence[FailureGroup], note: str) -> str:
    _those(rows).acknowledge(clock.to_storage(clock.now()), request.user.get_username()[:255], note)
    return _("Acknowledged. It is news again when it comes again.")


@deed(
    gettext_lazy("Mute"),
    "change_failuregroup",
    gettext_lazy("It is no news, however often it comes."),
)
def mute(request: HttpRequest, rows: Sequence[FailureGroup]) -> str:
    _those(rows).mute(muted=True)
    return _("Muted. It is counted, and no news any more.")


@deed(
    gettext_lazy("Unmute"),
    "change_failuregroup",
    gettext_lazy("Have it shown as news again."),
)
def unmute(request: HttpRequest, rows: Sequence[FailureGroup]) -> str:
    _those(rows).mute(muted=False)
    return _("It is news again when it comes again.")


@deed(
    gettext_lazy("Discard all"),
    "delete_taskresult",
    gettext_lazy("Forget all tasks that failed so, with their attempts. They stay counted."),
    is_dangerous=True,
)
def discard(request: HttpRequest, rows: Sequence[FailureGroup]) -> str:
    return " ".join(task_deeds.do("delete", tasks_of(kind)) for kind in rows)


#: In the order of their buttons.
FAILURE_DEEDS = (retry, acknowledge, mute, unmute, discard)
#: Those that are done to the tasks, and not to what is told of them.
TO_ALL_TASKS = (retry, discard)


def _those(rows: Sequence[FailureGroup]) -> FailureGroupQuerySet:
    kinds = FailureGroup.objects.using(conf.current().DATABASE)
    return kinds.filter(fingerprint__in=[kind.fingerprint for kind in rows])
