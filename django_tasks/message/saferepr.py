"""What a value looks like in logs and in the admin: bounded, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

#: Stands where a secret was.
MASK = "********"
#: Containers inside one another that are still opened.
_DEPTH = 10
_SIMPLE = frozenset({str, int, float, bool, type(None), bytes})
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    dict: ("{", "}"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_CONTAINERS = (*_BRACKETS, Mapping)


def saferepr(value: object, *, redact: Collection[str] = (), most: int = 1024) -> str:
    """`repr(value)`, but at most `most` characters, whatever `value` is, and never an exception.

    >>> saferepr({"user": "ada", "password": "x"}, redact=["PASS"])
    "{'user': 'ada', 'password': '********'}"

    The work is bounded as well: nothing past the last character shown is looked at (only the `__repr__` of a
    foreign class does as much as it likes). `redact` hides values by their keys, as `is_secret` says, at any
    depth.
    """
    pieces: list[str] = []
    room = most
    try:
        for piece in _pieces(value, tuple(redact), most, ()):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                return "".join(pieces)[: max(most - 3, 0)] + "..."[:most]
    except Exception:  # noqa: BLE001 - a container that cannot be walked; what was seen of it is shown
        return ("".join(pieces) + "<unrepresentable>")[:most]
    return "".join(pieces)


def is_secret(name: object, redact: Collection[str]) -> bool:
    """Whether `name` contains one of the words of `redact`, in any case."""
    return bool(redact) and isinstance(name, str) and _words(tuple(redact)).search(name) is not None


@lru_cache(maxsize=16)
def _words(redact: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, redact)), re.IGNORECASE)


def _pieces(value: Any, redact: tuple[str, ...], most: int, inside: tuple[int, ...]) -> Iterator[str]:
    """The text, piece by piece, so that the reader can stop. `inside`: the ids of the containers around."""
    kind = type(value)
    if kind in _SIMPLE or not isinstance(value, _CONTAINERS):
        yield _leaf(value, most)
        return
    opening, closing = _brackets(value, kind)
    yield opening
    if id(value) in inside or len(inside) >= _DEPTH:
        yield "..."
    else:
        yield from _items(value, redact, most, (*inside, id(value)))
    yield closing


def _brackets(value: Any, kind: type) -> tuple[str, str]:
    if kind in (set, frozenset) and not value:
        return f"{kind.__name__}(", ")"
    if kind in _BRACKETS:
        return _BRACKETS[kind]
    if hasattr(kind, "_fields"):
        return f"{kind.__name__}(", ")"
    opening, closing = next((_BRACKETS[base] for base in _BRACKETS if isinstance(value, base)), ("{", "}"))
    return f"{kind.__name__}({opening}", f"{closing})"


def _items(value: Any, redact: tuple[str, ...], most: int, inside: tuple[int, ...]) -> Iterator[str]:
    pairs, colon = _pairs(value)
    separator = ""
    for key, item in pairs:
        if colon:
            yield f"{separator}{key if colon == '=' else saferepr(key, most=most)}{colon}"
            # A key longer than `most` fills the text before its value is reached.
            item = MASK if redact and is_secret(key[:most] if isinstance(key, str) else key, redact) else item
        elif separator:
            yield separator
        separator = ", "
        if type(item) in _SIMPLE:
            yield _leaf(item, most)
        else:
            yield from _pieces(item, redact, most, inside)
    if type(value) is tuple and len(value) == 1:
        yield ","


def _pairs(value: Any) -> tuple[Iterable[tuple[Any, Any]], str]:
    """Keys with items, and what stands between the two: nothing if the keys are not shown."""
    if isinstance(value, Mapping):
        return value.items(), ": "
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value, strict=False), "="
    return ((None, item) for item in value), ""


def _leaf(value: Any, most: int) -> str:
    try:
        if isinstance(value, str | bytes | bytearray) and len(value) > most:
            return repr(value[: most + 1])
        if isinstance(value, int) and value.bit_length() > 4 * most:
            # Python needs quadratic time to write these, and by default refuses.
            return f"<{type(value).__name__} of {value.bit_length()} bits>"
        text = repr(value)
    except Exception:  # noqa: BLE001 - user code
        return f"<unrepresentable {type(value).__name__}>"
    if text.isprintable():
        return text
    return storable(text[: most + 1])


def storable(text: str) -> str:
    """`text` without what databases refuse: NUL (PostgreSQL) and lone surrogates (no UTF-8 for them)."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
