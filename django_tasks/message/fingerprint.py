"""Which failures are the same one: a short key of what was raised, by which task, with which words, and where.

What differs from run to run is left out: numbers, ids, addresses, what stands in quotes, and the lines of the code, so
that neither an order's number nor a line added above makes a new failure of an old one.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
from functools import cache, lru_cache
from pathlib import Path

from .errors import Told

#: Characters of a fingerprint: half of what would still be unlikely to meet by chance.
LENGTH = 16
#: Characters of a message that are looked at; what comes later is detail.
_LOOKED_AT = 1_000

_VARIES = re.compile(
    r"""
      (?<!\w)'(?:[^'\\]|\\.)*'(?!\w)              # in quotes, but not the apostrophe of "can't"
    | "(?:[^"\\]|\\.)*" | `[^`]*` | “[^”]*” | «[^»]*»
    | \b[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\b        # a UUID
    | \b0[xX][0-9a-fA-F]+\b                       # where an object lies
    | \b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b       # a hash, a token
    | \d+(?:[.,:_-]\d+)*                          # numbers, dates, versions, IP addresses
    """,
    re.VERBOSE,
)
_HEADER = "Traceback (most recent call last):"
#: Of a group of exceptions each line has its place in the tree before it.
_FRAME = re.compile(r'^[ |]*File "(?P<file>[^"\n]+)", line \d+, in (?P<function>.+)$', re.MULTILINE)
_PACKAGES = ("/site-packages/", "/dist-packages/")


def fingerprint(task: str, told: Told, traceback: str = "") -> str:
    """The key of a failure of `task`, in which this exception was raised."""
    parts = (told.kind, task, _words(told), place(traceback))
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=LENGTH // 2).hexdigest()


def _words(told: Told) -> str:
    # What a KeyError says is the key, and nothing else.
    return "" if told.kind == "KeyError" else normal(told.said)


def normal(said: str) -> str:
    """What an exception said, without what differs from one time to the next.

    >>> normal("Order 4711 of 'Smith' was not found at 0x7f3a")
    'Order # of # was not found at #'
    """
    return _VARIES.sub("#", said[:_LOOKED_AT])


def place(traceback: str) -> str:
    """Where the project's own code was last, in the exception that came last: file and function, without the line.

    Of the file its last two names: the directory of a release is another one each time.
    """
    last = traceback[max(0, traceback.rfind(_HEADER)) :]
    for file, function in reversed(_FRAME.findall(last)):
        if not _is_foreign(file):
            return f"{'/'.join(file.split('/')[-2:])}:{function}"
    return ""


@lru_cache(maxsize=1_000)
def _is_foreign(file: str) -> bool:
    """Is it of a package, of Python itself or of this one?"""
    named = file.replace("\\", "/")
    return file.startswith(("<", *_libraries())) or any(part in named for part in _PACKAGES)


@cache
def _libraries() -> tuple[str, ...]:
    ours = str(Path(__file__).parent.parent)
    return tuple(
        f"{path}/" for path in (ours, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    )
