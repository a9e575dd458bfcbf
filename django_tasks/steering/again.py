"""Sending a task again that has ended: as a task of its own, because what is final stays final."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction

from django_tasks import conf
from django_tasks.definition.order import with_arguments
from django_tasks.dispatch.now import send
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult
from django_tasks.models.locking import begin_to_write

from .reading import order_of

#: The header of a task that was sent again, with the id of the one it repeats.
RETRY_OF = "retry_of"
#: What a signature says of one run, which is not that of the next.
_OF_ONE_RUN = frozenset({"task_id", "root_id", "parent_id", "group_id", "group_index", "chord"})


def send_again(ids: Collection[str], seed: str) -> int:
    """Send these tasks again, as far as they have ended and can be read; how many these were.

    With the same seed nothing is sent twice: each new id is made of it and of the old one.
    """
    rows = TaskResult.objects.using(conf.current().DATABASE)
    with transaction.atomic(using=rows.db):
        begin_to_write(rows)
        orders = [again(row, _new_id(seed, row.id)) for row in rows.filter(id__in=list(ids)).final()]
        made = [message for message in orders if message is not None]
        known = rows.known([message.id for message in made])
        send([message for message in made if message.id not in known])
    return len(made)


def send_changed(row: TaskResult, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Send a task again with other arguments; the id of the new one.

    Raises `TypeError` if the task cannot be called so, and `ValueError` for one that cannot be read.
    """
    message = again(row, _new_id(uuid.uuid4().hex, row.id))
    if message is None:
        raise ValueError("Its message cannot be read. Send it again where it came from.")
    changed = with_arguments(message, tuple(args), kwargs)
    send([changed])
    return changed.id


def again(row: TaskResult, id: str) -> TaskMessage | None:
    """The order of a task once more, under a new id and on its own: it was counted in its group when it ended.

    What was to come after it comes after this one. `None` of an order that may not be read.
    """
    before = order_of(row)
    if before is None:
        return None
    return replace(
        before,
        id=id,
        queue=row.queue,
        priority=row.priority,
        retries=0,
        eta=None,
        expires=None,
        parent_id=row.id,
        root_id=row.root_id or row.id,
        group=None,
        group_index=None,
        chord=None,
        reply_to="",
        callbacks=_afresh(before.callbacks),
        errbacks=_afresh(before.errbacks),
        chain=_afresh(before.chain),
        headers={**before.headers, RETRY_OF: row.id},
    )


def _new_id(seed: str, id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {id}"))


def _afresh(signatures: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...] | None:
    """Signatures without the ids they had: those are taken, by tasks that ended when this one did."""
    return None if signatures is None else tuple(_unnamed(each) for each in signatures)


def _unnamed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_unnamed(item) for item in value]
    if not isinstance(value, Mapping) or "task" not in value:
        return value
    options = value.get("options") or {}
    kept = {name: _unnamed(said) for name, said in options.items() if name not in _OF_ONE_RUN}
    parts = value.get("kwargs") or {}
    if value.get("subtask_type"):
        parts = {name: _unnamed(part) for name, part in parts.items()}
    return {**value, "options": kept, "kwargs": parts}
