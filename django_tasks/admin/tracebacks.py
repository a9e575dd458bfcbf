"""Tracebacks, with the project's own lines standing out among those of libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from . import texts, times

#: Where code lies that is not the project's.
LIBRARY = re.compile(
    r'^\s*(?:\||\+)?\s*File "(?:[^"]*(?:site-packages|dist-packages|/lib/python|/lib64/python|[\\/]Lib[\\/])|<frozen )'
)
FRAME = re.compile(r'^\s*(?:\||\+)?\s*File "')


def block(text: str | None) -> SafeString | str:
    """As a box, the frames of libraries in a quieter colour."""
    if not text:
        return times.NOTHING
    parts = list(_parts(texts.shortened(text)))
    inner = format_html_join("", '<span class="{}">{}</span>', parts)
    return format_html('<pre class="tasks-block tasks-traceback">{}</pre>', inner)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Runs of lines, each with what they are: a frame is its `File` line and the code below it."""
    kind, lines = "tasks-words", list[str]()
    for line in text.splitlines(keepends=True):
        found = _kind(line, kind)
        if found != kind and lines:
            yield kind, "".join(lines)
            lines = []
        kind = found
        lines.append(line)
    if lines:
        yield kind, "".join(lines)


def _kind(line: str, before: str) -> str:
    if FRAME.match(line):
        return "tasks-library" if LIBRARY.match(line) else "tasks-own"
    # The code of a frame, and the marks below it, are indented.
    return before if line.startswith("    ") and before != "tasks-words" else "tasks-words"
