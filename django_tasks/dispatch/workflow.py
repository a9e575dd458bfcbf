"""Sending a workflow: its first tasks and the groups they count for, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from django.db import transaction

from django_tasks import clock, conf
from django_tasks.exceptions import Ignore
from django_tasks.message.group import NewGroup
from django_tasks.message.message import TaskMessage
from django_tasks.message.retry_policy import NEVER
from django_tasks.message.serialization import dumps
from django_tasks.models import TaskGroup, TaskResult

from .now import policy_of, send
from .reconnecting import write_at_once

#: How many tasks are handed over at once.
SLICE = 1_000


def send_workflow(parts: Iterable[TaskMessage | NewGroup]) -> None:
    """Send all of it, or nothing: slice by slice, so that never more than one is in memory.

    Until the transaction commits nobody sees the tasks, so what counts them may be written last, when it is known how
    many there are.
    """
    groups: list[NewGroup] = []
    messages = _without_groups(parts, groups)
    some = list(islice(messages, SLICE))

    def write() -> None:
        sending = some
        while sending:
            send(sending)
            sending = list(islice(messages, SLICE))
        open_groups([group_row(new) for new in groups])

    # Only what is still in memory can be sent again.
    policy = policy_of(some) if len(some) < SLICE else NEVER
    write_at_once(write, alias=conf.current().DATABASE, policy=policy)


def replace_task(id: str, owner: str, parts: Iterable[TaskMessage | NewGroup]) -> None:
    """Send these in the place of a task that `owner` runs, and of which from then on there is nothing.

    Raises `Ignore` if the task is somebody else's by now. Of an untracked one, which has no owner, nothing is known.
    """
    with transaction.atomic(using=conf.current().DATABASE):
        rows = TaskResult.objects.using(conf.current().DATABASE)
        if owner and not rows.vacate(id, owner):
            raise Ignore(f"Task {id} is not ours any more, so nothing is sent in its place.")
        send_workflow(parts)


def enlarge_group(id: str, parts: Callable[[int], Iterable[TaskMessage | NewGroup]]) -> int:
    """Send one more task of a group, whose place is told to `parts`, and have it waited for. Answers that place.

    Raises `ValueError` if the group is complete, or if there is none.
    """
    with transaction.atomic(using=conf.current().DATABASE):
        index = TaskGroup.objects.using(conf.current().DATABASE).grow(id)
        if index is None:
            raise ValueError(
                f"Group {id} is not waited for any more. Add to a chord in a task of its header."
            )
        send_workflow(parts(index))
    return index


def _without_groups(parts: Iterable[TaskMessage | NewGroup], groups: list[NewGroup]) -> Iterator[TaskMessage]:
    for part in parts:
        if isinstance(part, NewGroup):
            groups.append(part)
        else:
            yield part


def open_groups(rows: Sequence[TaskGroup]) -> None:
    """Have these groups counted from now on."""
    if rows:
        TaskGroup.objects.using(conf.current().DATABASE).insert(rows)


def group_row(new: NewGroup) -> TaskGroup:
    """The row that counts a group. Raises `EncodeError` if its body cannot be written."""
    return TaskGroup(
        id=new.id,
        total=new.total,
        pending=new.total,
        body="" if new.body is None else str(dumps(new.body).body),
        root_id=new.root_id,
        parent_id=new.parent_id,
        created_at=clock.to_storage(clock.now()),
    )
