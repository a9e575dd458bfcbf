"""Writes the options into `reference/options.md`, from their declarations in `django_tasks/definition/options.py`."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterable
from typing import Any

from django_tasks.definition.options import (
    CALL_OPTIONS_TO_COME,
    TASK_OPTIONS_TO_COME,
    CallOptions,
    TaskOptions,
)

PAGE = "reference/options"


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", fill)
    return {"parallel_read_safe": True}


def fill(_app: Any, page: str, source: list[str]) -> None:
    if page != PAGE:
        return
    for place, made in (
        ("<!-- the options of tasks -->", task_options()),
        ("<!-- the options of calls -->", call_options()),
        ("<!-- the options of tasks to come -->", names(TASK_OPTIONS_TO_COME)),
        ("<!-- the options of calls to come -->", names(CALL_OPTIONS_TO_COME)),
    ):
        source[0] = source[0].replace(place, made)


def task_options() -> str:
    """Every keyword of `@task` with its type, default and sentence, as a Markdown table."""
    hints = typing.get_type_hints(TaskOptions)
    rows = [
        (f"`{field.name}`", code(hints[field.name]), f"`{field.default!r}`", field.metadata["sentence"])
        for field in dataclasses.fields(TaskOptions)
    ]
    return table(("option", "type", "default", "meaning"), rows)


def call_options() -> str:
    """Every keyword of `apply_async` with its type and sentence. All are left out by default."""
    rows = []
    for name, hint in typing.get_type_hints(CallOptions, include_extras=True).items():
        kind, sentence = typing.get_args(hint)
        rows.append((f"`{name}`", code(kind), sentence))
    return table(("option", "type", "meaning"), rows)


def names(options: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(options))


def code(hint: Any) -> str:
    return f"`{inspect.formatannotation(hint)}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(escaped(line))} |" for line in lines)


def escaped(cells: tuple[str, ...]) -> list[str]:
    return [cell.replace("|", r"\|") for cell in cells]
