"""Writes the settings into `reference/settings.md`, from their declarations in `django_tasks/conf.py`."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

from django_tasks.conf import Settings

PAGE = "reference/settings"
PLACE = "<!-- the settings -->"


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}


def fill(_app: Any, page: str, source: list[str]) -> None:
    if page == PAGE:
        source[0] = source[0].replace(PLACE, settings())


def settings() -> str:
    """Every key with its type, default and sentence, as Markdown."""
    hints = typing.get_type_hints(Settings)
    return "\n".join(entry(field, hints[field.name]) for field in dataclasses.fields(Settings))


def entry(field: dataclasses.Field[Any], hint: Any) -> str:
    default = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    return (
        f"## `{field.name}`\n\n"
        f"{field.metadata['sentence']}\n\n"
        f"Type\n: `{inspect.formatannotation(hint)}`\n\n"
        f"Default\n: `{default!r}`\n"
    )
