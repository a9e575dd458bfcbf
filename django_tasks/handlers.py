"""Dotted paths, resolved when first asked for.

This is the only place that imports late: the public API can be imported before Django's models are loaded
(a project's `models.py` may import its own `tasks.py`) because whatever needs models is reached through here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string


@cache
def resolve(path: str, *, setting: str = "") -> Any:
    """What `path` names. `setting` is the key to blame if nothing is there."""
    try:
        return import_string(path)
    except ImportError as error:
        if not setting:
            raise
        raise ImproperlyConfigured(
            f"DJANGO_TASKS[{setting!r}] names {path!r}, which cannot be imported: {error}. Correct the path."
        ) from error


def later(path: str) -> Callable[..., Any]:
    """A callable that imports what `path` names at its first call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return resolve(path)(*args, **kwargs)

    return call
