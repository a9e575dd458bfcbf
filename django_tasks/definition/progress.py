"""States of your own, shown while a body runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django_tasks import states
from django_tasks.message.saferepr import saferepr
from django_tasks.message.serialization import spell
from django_tasks.results.handler import results
from django_tasks.results.writing import write_result

if TYPE_CHECKING:
    from .task import Task

#: What the column holds.
LONGEST_STATE = 50
#: These say something to workers and waiters: that a task has ended, or how to read what it carries.
_NOT_BY_HAND = states.FINAL_STATES | states.EXCEPTION_STATES | {states.REJECTED, states.ABORTED}


def update_state(task: Task[..., Any], task_id: str | None, state: str | None, meta: object) -> None:
    """See `Task.update_state`."""
    _check(state)
    assert state is not None
    text = write_result(meta, partial(spell, "meta"))
    context = task.request
    id = task_id or context.id
    if id is None:
        return  # called like a function: nothing is recorded (FEATURES STA-11)
    if context._report is not None and id == context.id:
        context._report(state, text)
    else:
        results().report(id, state, text)


def _check(state: object) -> None:
    if not isinstance(state, str) or not 0 < len(state) <= LONGEST_STATE or not state.isprintable():
        raise ValueError(
            f"state must be a name of at most {LONGEST_STATE} printable characters such as 'PROGRESS', "
            f"not {saferepr(state, most=80)}."
        )
    if state in _NOT_BY_HAND:
        raise ValueError(
            f"{state} is a state that a task comes to by its end: return for SUCCESS, raise for FAILURE, call "
            "self.retry() for RETRY. For progress choose a name of your own, such as 'PROGRESS'."
        )
