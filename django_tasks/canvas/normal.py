"""normal: an equal workflow in the one shape that those who send it must know.

It is one of these:

- a task, `celery.map` and `celery.starmap` among them;
- a chain of two or more steps. Each but the last is a task; the last may be a chord or a group as well;
- a group. Its members are tasks and chains, and each has one task at its end that bears its result;
- a chord: a header of such members, not empty, and any of these four as its body.

Options of a chain or chord are given to the tasks they are meant for. Only ids stay: `task_id` on a group; on a chord
if its body has one of its own, for then it is that of the header, as frozen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import cast

from .chain import chain
from .chord import chord
from .giving import end, give, say
from .group import group
from .maps import OfMany, chunks
from .signature import Signature, taken

#: The task that closes a member that ends in a group: it returns the one argument that it gets, a list.
ACCUMULATE = "celery.accumulate"


def normal(sig: Signature) -> Signature:
    """An equal workflow in the normal shape; `sig` stays as it is. What has nothing to do is an empty group.

    Raises `TypeError` for a chord without a body. Loops are not looked for: `checking.check` does so.
    """
    return _joined(_steps(taken(sig).clone()))


def _steps(sig: Signature) -> list[Signature]:
    """Normal steps, one or more, of which only the last may be a group or chord. Takes `sig` apart."""
    match sig:
        case chunks() as found:
            cut = found.group()
            cut.options = found.options
            return _steps_of_group(cut)
        case chain() as found:
            return _steps_of_chain(found)
        case group() as found:
            return _steps_of_group(found)
        case chord() as found:
            return _steps_of_chord(found)
        case OfMany() as found:
            found.follow_mapped()
            return [found]
        case found:
            return [found]


def _joined(steps: Iterable[Signature]) -> Signature:
    first, *more = steps
    return chain.of([first, *more]) if more else first


def _steps_of_chain(found: chain) -> list[Signature]:
    parts = [_steps(part) for part in found.tasks]
    some = [steps for steps in parts if not _is_empty(steps)] or parts[-1:] or [[group()]]
    behind: deque[Signature] = deque()
    for steps in reversed(some):
        _put_before(behind, steps)
    give(_joined(behind), found, found.for_tasks())
    return list(behind)


def _put_before(behind: deque[Signature], steps: list[Signature]) -> None:
    """Have `behind` begin with `steps`. If these end in a group or chord, all of `behind` becomes a part of it."""
    *before, last = steps
    if behind and isinstance(last, group | chord):
        last = _with_body(last, behind)
        behind.clear()
    behind.extendleft(reversed([*before, last]))


def _with_body(last: group | chord, behind: Iterable[Signature]) -> chord:
    if isinstance(last, group):
        return _chord(last.tasks, _joined(behind), last.id)
    body = last.body_or_refuse()
    all_ = deque(behind)
    _put_before(all_, body.tasks if isinstance(body, chain) else [body])
    last.body = _joined(all_)
    return last


def _chord(header: list[Signature], body: Signature, id: str | None) -> chord:
    """`id` is that of the header, if the body has one too: if not, nobody has seen either."""
    made = chord((), body)
    made.tasks = header
    if id is not None and end(body).id is not None:
        made.options["task_id"] = id
    return made


def _steps_of_group(found: group) -> list[Signature]:
    made = group()
    made.tasks = _members(found.tasks)
    give(made, found, found.for_tasks())
    return [_with_keys_of(found, made)]


def _members(tasks: Iterable[Signature]) -> list[Signature]:
    members: list[Signature] = []
    for task in tasks:
        steps = _steps(task)
        if isinstance(task, group | chunks):
            members += cast("group", steps[0]).tasks
        elif not _is_empty(steps):
            members.append(_with_one_end(steps))
    return members


def _with_one_end(steps: list[Signature]) -> Signature:
    behind = deque([Signature(ACCUMULATE, kwargs={"index": 0})] if isinstance(end(steps[-1]), group) else [])
    _put_before(behind, steps)
    return _joined(behind)


def _steps_of_chord(found: chord) -> list[Signature]:
    header = _members(found.tasks)
    body = found.body_or_refuse()
    if not header:
        called = body.clone(([],))
        # In a chain, the result of the step before would have been for the header.
        called.immutable = True
        steps = _steps(called)
        say(_joined(steps), found.options)
        return steps
    steps = _steps(body)
    made: chord | group
    if _is_empty(steps):
        made = group()
        made.tasks = header
    else:
        made = _chord(header, _joined(steps), found.id)
    give(made, found, found.for_tasks() | (found.kwargs.get("kwargs") or {}))
    return [_with_keys_of(found, made)]


def _with_keys_of(found: Signature, made: Signature) -> Signature:
    """Keys that a newer Celery may have written stay."""
    made.update({key: value for key, value in found.items() if key not in made})
    return made


def _is_empty(steps: list[Signature]) -> bool:
    return isinstance(steps[0], group) and not steps[0].tasks
