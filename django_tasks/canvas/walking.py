"""Every signature inside another one, and the refusal of those that never end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .signature import Signature

#: How deep signatures may be nested. Each level is some five levels of JSON, and decoders stop at a thousand.
DEPTH = 100


def walk(sig: Signature) -> Iterator[Signature]:
    """`sig`, its parts and links, theirs, and so on, from the outside in.

    Raises `ValueError` at a signature that contains or links itself, and below `DEPTH`.
    """
    above: set[int] = set()
    waiting: list[tuple[Signature, bool]] = [(sig, False)]
    while waiting:
        found, done = waiting.pop()
        if done:
            above.remove(id(found))
            continue
        if id(found) in above:
            raise ValueError(
                f"{found.task} is linked to itself, so it would be called without end. "
                "Link a copy: sig.clone()."
            )
        if len(above) >= DEPTH:
            raise ValueError(
                f"A workflow is nested more than {DEPTH} levels deep, at {found.task}. "
                "Let one of its tasks start the rest."
            )
        above.add(id(found))
        yield found
        waiting.append((found, True))
        waiting += [(inner, False) for inner in reversed([*found.parts(), *found.links()])]


def unlooped(sig: Signature, linked: Signature) -> Signature:
    """`linked`, if it may be linked to `sig`. Raises `ValueError` if `sig` is a part of it already."""
    if any(found is sig for found in walk(linked)):
        raise ValueError(
            f"{sig.task} is called by what it should call, so they would call each other without end. "
            "Link a copy: sig.clone()."
        )
    return linked
