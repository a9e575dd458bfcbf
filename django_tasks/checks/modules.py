"""The modules that define tasks."""

from __future__ import annotations

import traceback
from typing import Any

from django.core.checks import CheckMessage, Error, register

from django_tasks import registry

from .settings import TAG, can_be_asked


@register(TAG)
def tasks_modules(**_: Any) -> list[CheckMessage]:
    """Imports them all, as a worker will."""
    if not can_be_asked():
        return []
    return [
        Error(
            f"The tasks of {module!r} cannot be imported: {_told(error)}",
            hint="Correct the module. Until then no worker starts.",
            id="django_tasks.E006",
        )
        for module, error in registry.import_errors().items()
    ]


def _told(error: Exception) -> str:
    """The exception with its type, and where it was raised."""
    words = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    return f"{words} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else words
