"""Freezing a workflow: everything in it gets its id, so that its results can be asked for before it is sent."""

from __future__ import annotations

from typing import Any

from django_tasks.handlers import later
from django_tasks.message.task_id import new_task_id
from django_tasks.results.async_result import AsyncResult
from django_tasks.results.result_set import GroupResult

from .chain import chain
from .chord import chord
from .giving import say
from .group import group
from .maps import chunks
from .normal import normal
from .signature import Signature

Handle = AsyncResult | GroupResult
#: Above us: the options of a task say whether anything is stored of it.
ignores = later("django_tasks.definition.order.ignores")


def freeze_in_place(sig: Signature, _id: str | None = None, **said: Any) -> Handle:
    """The same for any workflow, which is brought into its normal shape as far as its class allows.

    `said` are options that say where it will stand, for whoever sends it (Celery's `freeze`). Raises `TypeError` for
    `chunks`, which are no workflow before they are a group.
    """
    if isinstance(sig, chunks):
        raise TypeError("Chunks have no tasks yet that could have ids. Freeze their group().")
    ready = normal(sig)
    handle = freeze(ready, _id)
    say(ready, {name: value for name, value in said.items() if value is not None})
    if type(ready) is type(sig):
        dict.clear(sig)
        dict.update(sig, ready)
    else:
        sig.args, sig.options = (), {}
        sig.kwargs = {"header": [], "body": ready} if isinstance(sig, chord) else {"tasks": [ready]}
    return handle


def freeze(sig: Signature, id: str | None = None, parent: Handle | None = None) -> Handle:
    """Give ids to all of a normal workflow that has none yet, in place, and return the handle on its result.

    `id` is for what bears the result; `parent` comes before it. The ids of a group's tasks are made before the group's
    own: groups are locked by id (models/group.py), those inside first.
    """
    match sig:
        case chain():
            return _chain(sig, id, parent)
        case group():
            return _group(sig, id, parent)
        case chord():
            header = _group(sig, None, parent)
            for member in header.results:
                _waited_for(member)
            return freeze(sig.body_or_refuse(), id, header)
        case _:
            frozen = _id(sig, id)
            return AsyncResult(frozen, ignored=ignores(sig.task, sig.options), parent=parent)


def _chain(sig: chain, id: str | None, parent: Handle | None) -> Handle:
    *first, last = sig.tasks
    for step in first:
        parent = _waited_for(freeze(step, None, parent))
    return freeze(last, id, parent)


def _waited_for(handle: Handle) -> Handle:
    """What others wait for is tracked, whatever its task says."""
    if isinstance(handle, AsyncResult):
        handle.ignored = False
    return handle


def _group(sig: group | chord, id: str | None, parent: Handle | None) -> GroupResult:
    members = [freeze(member, None, None) for member in sig.tasks]
    return GroupResult(_id(sig, id), members, parent=parent)


def _id(sig: Signature, id: str | None) -> str:
    frozen: str = id or sig.options.get("task_id") or new_task_id()
    sig.options["task_id"] = frozen
    return frozen
