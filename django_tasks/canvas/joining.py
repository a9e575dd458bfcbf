"""What `|` makes of two signatures: Celery's algebra."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from .chain import chain
from .chord import chord
from .group import group, unrolled
from .signature import Signature, taken


def join(first: Signature, other: Any) -> Signature:
    """`first | other`. Raises `TypeError` if `other` is no signature."""
    then = taken(other, "|")
    if isinstance(first, group):
        return first if _is_empty(then) else chord(first, then)
    if isinstance(first, chain):
        return _after_chain(first, then)
    then = unrolled(then)
    if isinstance(first, chord) and not isinstance(then, group | chain):
        return _into_body(first, then)
    return chain.of([first, *(then.unchain_tasks() if isinstance(then, chain) else [then])])


def _after_chain(first: chain, then: Signature) -> Signature:
    if _is_empty(then):
        return first
    if isinstance(then, chain):
        return reduce(or_, then.unchain_tasks(), first)
    then = unrolled(then)
    if isinstance(then, group):
        return _group_after_chain(first, then)
    last = first.tasks[-1] if first.tasks else None
    if isinstance(last, group):
        return _closed(first, then)
    if isinstance(last, chord) and not isinstance(then, chord):
        made = first.clone()
        made.tasks[-1] = _into_body(last, then)
        return made
    return chain.of([*first.unchain_tasks(), then])


def _group_after_chain(first: chain, then: group) -> Signature:
    tasks = first.unchain_tasks()
    if not tasks:
        return then
    if isinstance(tasks[-1], chord):
        return chain.of([*tasks[:-1], _into_body(tasks[-1], then)])
    return chain.of([*tasks, then])


def _closed(first: chain, then: Signature) -> Signature:
    """A group at the end and what comes after it are a chord; a chord before it takes that into its body."""
    made = first.clone()
    *before, last = made.tasks
    if before and isinstance(before[-1], chord):
        made.tasks = [*before[:-1], _into_body(before[-1], chord(last, then))]
    else:
        made.tasks = [*before, chord(last, then)]
    return made


def _into_body(first: chord, then: Signature) -> chord:
    made = first.clone()
    made.body = made.body_or_refuse() | then
    return made


def _is_empty(sig: Signature) -> bool:
    return isinstance(sig, group) and not sig.tasks
