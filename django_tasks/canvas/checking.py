"""check: what is wrong with a workflow, said before anything of it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django_tasks import conf, registry
from django_tasks.exceptions import NotRegistered, ResultsDisabled
from django_tasks.handlers import later
from django_tasks.message import serialization
from django_tasks.results.handler import store_of

from .chain import chain
from .chord import chord
from .group import group
from .maps import OfMany
from .normal import ACCUMULATE
from .signature import Signature
from .walking import walk

#: Above us: what a call of a task may say.
check_options_of = later("django_tasks.definition.order.check_options_of")

#: Values that every serializer writes.
_PLAIN = frozenset({str, int, float, bool, type(None)})


def check(sig: Signature) -> None:
    """Raises what is wrong with `sig` or a signature in it, and has changed nothing.

    `ValueError`: it is linked to itself, is nested too deeply, or a task of a chord's header keeps no result.
    `TypeError`: a chord has no body. `NotRegistered`: no task has the name, and it is not sent elsewhere with `queue=`.
    `EncodeError`: an argument that cannot be written. And what `apply_async` would raise for the options of a task.
    """
    # All of it first: what follows may rely on that it ends.
    for found in list(walk(sig)):
        match found:
            case chord():
                check_header(found)
            case group() | chain():
                pass
            case _:
                check_name(found)
                check_options_of(found.task, found.options)
                check_arguments(found)


def check_results(sig: Signature) -> None:
    """Raises `ResultsDisabled` if a chord in this normal workflow would wait for results that nobody keeps."""
    for found in walk(sig):
        if isinstance(found, chord):
            for last in {last.task for member in found.tasks for last in _ends(member)}:
                if not store_of(last).has_results:
                    raise ResultsDisabled(
                        f"{last} is in the header of a chord, whose body is called with its result, but results "
                        "are disabled. Set DJANGO_TASKS['RESULT_STORE'], or the task's backend if it has one, to "
                        "'database' or 'cache'."
                    )


def check_header(found: chord) -> None:
    """The body wants the result of each member. A task that ignores its results as a rule keeps this one."""
    found.body_or_refuse()
    for member in found.tasks:
        for last in _ends(member):
            if last.options.get("ignore_result"):
                raise ValueError(
                    f"{last.task} is in the header of a chord and is to ignore its result, which the body waits for. "
                    "Leave out ignore_result. (Where only its task says so, it is tracked all the same.)"
                )


def _ends(sig: Signature) -> Iterator[Signature]:
    """The tasks that bear the results of `sig`."""
    match sig:
        case chain():
            for last in sig.tasks[-1:]:
                yield from _ends(last)
        case group():
            for member in sig.tasks:
                yield from _ends(member)
        case chord():
            yield from _ends(sig.body_or_refuse())
        case _:
            yield sig


def check_name(found: Signature) -> None:
    """Its code must be here, or it must say in which queue others wait for it."""
    name = found.mapped.task if isinstance(found, OfMany) else found.task
    if found.options.get("queue") or name == ACCUMULATE:
        return
    try:
        registry.find(name)
    except NotRegistered as error:
        raise NotRegistered(
            f"{error} If another system runs it, say in which queue it waits: .set(queue=...)."
        ) from None


def check_arguments(found: Signature) -> None:
    """They must be such as can be written; those that are added later are checked then."""
    if all(type(value) in _PLAIN for value in (*found.args, *found.kwargs.values())):
        return
    serializer = found.options.get("serializer")
    if serializer is None and found.task in registry.tasks:
        serializer = found.type.serializer
    serialization.dumps(
        (list(found.args), found.kwargs),
        serializer or conf.current().TASK_SERIALIZER,
        where=partial(_place, found.task),
    )


def _place(task: str, path: serialization.Path) -> str:
    match path:
        case (0, int(position), *inside):
            place = serialization.spell(f"Argument {position + 1}", tuple(inside))
        case (1, name, *inside):
            place = serialization.spell(f"Keyword argument {name!r}", tuple(inside))
        case _:
            place = "A name of its arguments"
    return f"{place} of {task}"
