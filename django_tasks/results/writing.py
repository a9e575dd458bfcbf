"""Results and what custom states carry, as text for the rows."""

from __future__ import annotations

from collections.abc import Callable

from django_tasks import conf
from django_tasks.exceptions import ResultTooLarge
from django_tasks.message.serialization import Path, dumps


def write_result(value: object, where: Callable[[Path], str]) -> str:
    """JSON text of `value`; `where` puts a place in it into words.

    Raises `EncodeError` if it cannot be written and `ResultTooLarge` if there is more of it than `RESULT_MAX_BYTES`.
    """
    text = str(dumps(value, where=where).body)
    most = conf.current().RESULT_MAX_BYTES
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    if size > most:
        raise ResultTooLarge(
            f"{where(())} takes {size:,} bytes as JSON, and {most:,} are the most. Store it elsewhere (a file, "
            "a model) and return where it is, or set DJANGO_TASKS['RESULT_MAX_BYTES']."
        )
    return text
