"""The tabs above the list of tasks, one for each state, with how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from django_tasks import states
from django_tasks.models.counting import MOST, Count, counts
from django_tasks.models.result import TaskResultQuerySet
from django_tasks.steering import matching

from . import numbers
from .badges import STATUSES

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: In the order of a task's life. Of those that simply succeeded there is no index, so they are not counted.
SHOWN: Sequence[str] = (
    *(states.PENDING, states.STARTED, states.RETRY),
    *(states.FAILURE, states.REVOKED, states.SUCCESS),
)
#: With other parameters than these nothing is counted: no index would have the answer.
COUNTED_WITH = frozenset({"status", "window"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTab:
    label: StrOrPromise
    sign: str
    tone: str
    url: str
    count: str
    is_current: bool


def state_tabs(rows: TaskResultQuerySet, asked: Mapping[str, str], *, is_counted: bool) -> list[StateTab]:
    """One for all tasks and one for each state; `asked` are the list's parameters."""
    others = {name: value for name, value in asked.items() if name != "status"}
    counted: Mapping[str, Count] = {}
    if is_counted and asked.keys() <= COUNTED_WITH:
        within = matching.matching(rows, others)
        asked_for = {status: within.with_status(status) for status in SHOWN if status != states.SUCCESS}
        counted = counts(asked_for, within.db, MOST, column="created_at")
    current = asked.get("status", "")
    everything = StateTab(
        label=_("All"), sign="", tone="idle", url=_address(others, ""), count="", is_current=not current
    )
    tabs = [everything]
    for status in SHOWN:
        badge = STATUSES[status]
        tabs.append(
            StateTab(
                label=badge.label,
                sign=badge.sign,
                tone=badge.tone,
                url=_address(others, status),
                count=numbers.told(counted[status]) if status in counted else "",
                is_current=status == current,
            )
        )
    return tabs


def _address(others: Mapping[str, str], status: str) -> str:
    return "?" + urlencode({**others, "status": status} if status else dict(others))
