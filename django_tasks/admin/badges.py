"""States as people see them: colour, sign and word, so that none of the three has to be told apart alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from django_tasks import states
from django_tasks.models import QueuedMessage, TaskGroup, Worker

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """`tone` chooses the colour, in static/django_tasks/admin.css: idle, busy, warn, good or bad."""

    label: StrOrPromise
    sign: str
    tone: str

    def __html__(self) -> SafeString:
        return format_html(
            '<span class="tasks-badge tasks-{}"><span aria-hidden="true">{}</span> {}</span>',
            self.tone,
            self.sign,
            self.label,
        )


#: In the order of a task's life. RECEIVED and REJECTED are missing: nothing stores them.
STATUSES: Mapping[str, Badge] = {
    states.PENDING: Badge(label=_("Pending"), sign="○", tone="idle"),
    states.STARTED: Badge(label=pgettext_lazy("status of a task", "Started"), sign="▶", tone="busy"),
    states.RETRY: Badge(label=pgettext_lazy("status of a task", "Retry"), sign="↻", tone="warn"),
    states.SUCCESS: Badge(label=_("Success"), sign="✔", tone="good"),
    states.FAILURE: Badge(label=_("Failure"), sign="✖", tone="bad"),
    states.REVOKED: Badge(label=_("Revoked"), sign="⊘", tone="idle"),
    states.IGNORED: Badge(label=_("Ignored"), sign="◌", tone="idle"),
}

MESSAGES: Mapping[str, Badge] = {
    QueuedMessage.State.READY: Badge(label=QueuedMessage.State.READY.label, sign="○", tone="idle"),
    QueuedMessage.State.CLAIMED: Badge(label=QueuedMessage.State.CLAIMED.label, sign="▶", tone="busy"),
    QueuedMessage.State.PARKED: Badge(label=QueuedMessage.State.PARKED.label, sign="◔", tone="idle"),
    QueuedMessage.State.ASIDE: Badge(label=QueuedMessage.State.ASIDE.label, sign="⚠", tone="bad"),
}

PAUSED = Badge(label=_("paused"), sign="Ⅱ", tone="warn")

WORKERS: Mapping[str, Badge] = {
    Worker.State.ONLINE: Badge(label=Worker.State.ONLINE.label, sign="●", tone="good"),
    Worker.State.DRAINING: Badge(label=Worker.State.DRAINING.label, sign="◑", tone="warn"),
    Worker.State.TROUBLED: Badge(label=Worker.State.TROUBLED.label, sign="▲", tone="warn"),
    Worker.State.LOST: Badge(label=Worker.State.LOST.label, sign="✖", tone="bad"),
}


def of_status(status: str) -> SafeString:
    """A task's. A state that a project made up is shown as it is."""
    return _of(STATUSES, status)


def label_of(status: str) -> StrOrPromise:
    """A task's status as a word, where there can be no badge."""
    return STATUSES[status].label if status in STATUSES else status


def of_message(state: str) -> SafeString:
    """A stored message's."""
    return _of(MESSAGES, state)


def of_group(row: TaskGroup) -> SafeString:
    """How far a group is: `17 of 20`."""
    sign, tone = ("▶", "busy") if row.finished_at is None else ("✖", "bad") if row.failed else ("✔", "good")
    words = gettext("%(completed)d of %(total)d") % {"completed": row.completed, "total": row.total}
    return Badge(label=words, sign=sign, tone=tone).__html__()


def of_worker(row: Worker) -> SafeString:
    return _of(WORKERS, row.state)


def _of(known: Mapping[str, Badge], state: str) -> SafeString:
    return known.get(state, Badge(label=state, sign="◆", tone="busy")).__html__()
