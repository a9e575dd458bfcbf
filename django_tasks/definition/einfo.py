"""ExceptionInfo: an exception with its traceback as text, as the handlers of tasks get it (Celery's `einfo`)."""

from __future__ import annotations

import traceback

#: Characters. Of a longer text, from an exception that quotes everything it saw, the middle is left out.
LONGEST = 200_000


class ExceptionInfo:
    """`exception`, `type` and `traceback`; as a string it is the traceback."""

    __slots__ = ("exception", "traceback")

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception
        text = "".join(traceback.format_exception(exception))
        half = LONGEST // 2
        self.traceback = text if len(text) <= LONGEST else f"{text[:half]}\n…\n{text[-half:]}"

    @property
    def type(self) -> type[BaseException]:
        return type(self.exception)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"
