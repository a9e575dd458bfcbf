"""Workflows to try things on, and what their results are by definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from django_tasks import Signature, chain, chord, chunks, group, xmap

#: What comes of a workflow in which there is nothing to do.
NOTHING = object()


def tasks() -> st.SearchStrategy[Signature]:
    return st.builds(
        Signature,
        st.sampled_from(["forge.tasks.a", "forge.tasks.b", "c"]),
        args=st.lists(st.integers(0, 9), max_size=2),
        immutable=st.booleans(),
    )


def some(of: st.SearchStrategy[Signature]) -> st.SearchStrategy[list[Signature]]:
    return st.lists(of, max_size=4)


def _composed(inner: st.SearchStrategy[Signature]) -> st.SearchStrategy[Signature]:
    return st.one_of(
        some(inner).map(chain),
        # As foreign senders may write them: nothing is merged yet.
        some(inner).map(chain.of),
        some(inner).map(group),
        st.builds(chord, some(inner), inner),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        st.builds(chunks, tasks(), st.lists(st.tuples(st.integers())), st.integers(1, 3)),
        st.builds(xmap, tasks(), st.lists(st.integers())),
    )


#: Any workflow: nested, empty, of one part; without links and options.
WORKFLOWS = st.recursive(tasks(), _composed, max_leaves=12)


def result(sig: Signature, args: tuple[Any, ...] = ()) -> Any:
    """What the workflow returns if each task returns its name and its arguments."""
    match sig:
        case chain():
            return _result_of_chain(sig, args)
        case chunks():
            return result(sig.group(), args)
        case group():
            return _results(sig, args) or NOTHING
        case chord():
            found = _results(sig, args)
            value = result(sig.body_or_refuse(), (found,))
            return (found or NOTHING) if value is NOTHING else value
    called = sig.args if sig.immutable else args + sig.args
    if sig.task == "celery.accumulate":
        return called[sig.kwargs["index"]]
    return (sig.task, *called, repr(sig.kwargs) if sig.kwargs else "")


def _result_of_chain(sig: chain, args: tuple[Any, ...]) -> Any:
    value: Any = NOTHING
    for step in sig.tasks:
        found = result(step, args if value is NOTHING else (value,))
        value = value if found is NOTHING else found
    return value


def _results(sig: group | chord, args: tuple[Any, ...]) -> list[Any]:
    found: list[Any] = []
    for member in sig.tasks:
        value = result(member, args)
        if value is NOTHING:
            continue
        if isinstance(member, group | chunks):
            found += value
        else:
            found.append(value)
    return found


def is_normal(sig: Signature) -> bool:
    match sig:
        case chain():
            *before, last = sig.tasks
            return (
                bool(before) and all(map(is_task, before)) and not isinstance(last, chain) and is_normal(last)
            )
        case group():
            return all(map(is_member, sig.tasks))
        case chord():
            body = sig.body_or_refuse()
            return bool(sig.tasks) and all(map(is_member, sig.tasks)) and is_normal(body)
    return is_task(sig)


def is_member(sig: Signature) -> bool:
    return is_normal(sig) and not isinstance(_end(sig), group)


def _end(sig: Signature) -> Signature:
    match sig:
        case chain():
            return _end(sig.tasks[-1])
        case chord():
            return _end(sig.body_or_refuse())
    return sig


def is_task(sig: Signature) -> bool:
    return not isinstance(sig, chain | group | chord | chunks)


def every(sig: Signature, see: Callable[[Signature], None]) -> None:
    see(sig)
    for part in (*sig.parts(), *sig.links()):
        every(part, see)
