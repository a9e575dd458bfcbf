"""Who sent what: handles on the tasks and groups that came of others, found for many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django_tasks.exceptions import IncompleteStream

from .async_result import AsyncResult, EagerResult
from .handler import results
from .result_set import GroupResult, Handle, ResultSet


def children(ids: Sequence[str]) -> dict[str, list[Handle]]:
    """What each of these tasks sent, the first one first; a group that it sent is one of them."""
    sent = results().children(ids)
    members = results().members(dict.fromkeys(child.group for child in sent if child.group is not None))
    # Keys of a dict keep the order, and a group has its place once.
    found: dict[str, dict[str, Handle]] = {id: {} for id in ids}
    for child in sent:
        if child.group is None:
            found[child.parent][child.id] = AsyncResult(child.id)
        elif child.group not in found[child.parent]:
            handles = [AsyncResult[Any](id) for id in members[child.group]]
            found[child.parent][child.group] = GroupResult(child.group, handles)
    return {id: list(kin.values()) for id, kin in found.items()}


def descendants(first: AsyncResult[Any], intermediate: bool) -> Iterator[tuple[Handle | None, Handle]]:
    """See `AsyncResult.iterdeps`. A level of the tree is asked for at a time."""
    level: list[tuple[Handle | None, Handle]] = [(None, first)]
    met = {str(first)}
    while level:
        ResultSet(node for _, node in level).look()
        kin = _children_of_ended([node for _, node in level])
        below: list[tuple[Handle | None, Handle]] = []
        for sender, node in level:
            yield sender, node
            if isinstance(node, GroupResult) or node.ready():
                # The last step of a chain in a group counts for the group, and came of the step before.
                came = kin[str(node)] if str(node) in kin else node.children  # noqa: SIM401 - it would be asked
                new = [child for child in came if str(child) not in met]
                met.update(map(str, new))
                below += [(node, child) for child in new]
            elif not intermediate:
                raise IncompleteStream(
                    f"Task {node} has not ended. Wait for it, or ask with intermediate=True."
                )
        level = below


def _children_of_ended(nodes: Iterable[Handle]) -> dict[str, list[Handle]]:
    """What is kept of the children of those that have ended."""
    ended = [node for node in nodes if isinstance(node, AsyncResult) and node.is_settled]
    return children([node.id for node in ended if not isinstance(node, EagerResult)])


def throw_first(parents: Iterable[Handle]) -> None:
    """Raise what the first of these, which are given the last one first, failed with, if one of them did."""
    ResultSet(reversed(list(parents))).maybe_throw()


def forget(handle: AsyncResult[Any]) -> None:
    """Remove what is stored of a task, and of its parents that are known here."""
    ResultSet([handle]).forget()
