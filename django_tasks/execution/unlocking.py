"""Chords that a Celery program sent, with the tasks of their header as messages of their own.

Celery then sends `celery.chord_unlock` as well, for a worker to ask again and again whether the header is complete.
Here it only says what nobody has said before: how many tasks are waited for, and what comes after them. From then on
rows count, as for a chord of ours (following.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from django_tasks import conf, states
from django_tasks.dispatch.workflow import group_row
from django_tasks.message.group import NewGroup
from django_tasks.message.saferepr import saferepr
from django_tasks.models import TaskGroup, TaskResult

from .following import follow_group
from .ledger import Rows, complete


def unlock(group_id: str, body: Mapping[str, Any], total: int) -> None:
    """Have the `total` tasks of a header counted, those that ended already included; more than once is as good."""
    alias = conf.current().DATABASE
    # It must be there for all to see before it is counted what has ended: whoever ends from now on counts itself.
    TaskGroup.objects.using(alias).open_once(group_row(NewGroup(id=group_id, total=total, body=body)))
    with transaction.atomic(using=alias):
        rows, groups = TaskResult.objects.using(alias), TaskGroup.objects.using(alias)
        rows.lock_members(group_id)
        # A foreign member that had no row yet may have ended, and been counted, before the group's row is ours.
        if groups.lock_unfinished(group_id) is None:
            return
        found = list(rows.filter(group_id=group_id).values_list("status", flat=True))
        over = [status for status in found if status in states.FINAL_STATES]
        failed = sum(status != states.SUCCESS for status in over)
        if row := groups.recount(group_id, len(over), failed):
            ledger = Rows()
            follow_group(complete(row), ledger)
            ledger.flush()


def waited_for(result: Sequence[Any]) -> int:
    """How many ends a header has, by the tuples that Celery writes of its results.

    A task is `[[id, parent], null]`. A group, which a member ends in, has its tasks in the place of null, and is one
    here: what counts is the task that has the list of their results. Raises `ValueError` for what is no such tuple.
    """
    for written in result:
        match written:
            case [[str(), _], None | [*_]]:
                continue
        raise ValueError(
            f"{saferepr(written)} is not the tuple of a result; correct the sender of the chord."
        )
    return len(result)
