"""What a chain, group or chord was given — arguments and options — given on to the tasks that it is meant for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .chain import chain
from .chord import chord
from .fields import LINKS, OF_A_GROUP, OF_THE_END, listed
from .group import group
from .signature import Signature

#: Options for every task.
_OF_ALL = frozenset(("link_error", "root_id"))
#: Options that say when to begin, and after whom: nothing to a body, which waits for its header.
_OF_THE_BEGINNING = frozenset(("countdown", "eta", "parent_id"))


def give(to: Signature, whole: Signature, kwargs: Mapping[str, Any]) -> None:
    """Give `to`, a normal workflow, what is said on `whole`, of which it was made; `kwargs` are for the first tasks."""
    if whole.args or kwargs or whole.immutable:
        for task in _first(to):
            _call_with(task, whole.args, kwargs)
            task.immutable = task.immutable or whole.immutable
    say(to, whole.options)


def _call_with(task: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if not task.immutable:
        task.args = args + task.args
        task.kwargs.update(kwargs)


def end(sig: Signature) -> Signature:
    """What bears the result of a normal workflow: a task or a group."""
    while isinstance(sig, chain | chord):
        sig = sig.tasks[-1] if isinstance(sig, chain) else sig.body_or_refuse()
    return sig


def _first(sig: Signature) -> list[Signature]:
    """The tasks that begin a normal workflow."""
    match sig:
        case chain():
            return _first(sig.tasks[0])
        case group() | chord():
            return [task for member in sig.tasks for task in _first(member)]
    return [sig]


def say(sig: Signature, options: Mapping[str, Any]) -> None:
    """Options for the normal workflow `sig`: they go before those of its tasks, links are added."""
    if not options:
        return
    match sig:
        case chain():
            say(sig.tasks[0], _without(options, OF_THE_END | _OF_ALL))
            for task in sig.tasks:
                say(task, _only(options, _OF_ALL))
            say(sig.tasks[-1], _only(options, OF_THE_END))
        case group():
            _update(sig, _only(options, OF_A_GROUP))
            for task in sig.tasks:
                say(task, _without(options, OF_A_GROUP))
        case chord():
            for task in sig.tasks:
                say(task, _without(options, OF_THE_END | {"link_error"}))
            say(sig.body_or_refuse(), _without(options, _OF_THE_BEGINNING))
        case _:
            _update(sig, options)


def _update(sig: Signature, options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        if key in LINKS:
            for link in listed(value):
                sig.append_to_list_option(key, link.clone())
        elif key != "task_id" or sig.id is None:  # an id that somebody may know already stays
            sig.options[key] = value


def _only(options: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key in keys}


def _without(options: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in keys}
