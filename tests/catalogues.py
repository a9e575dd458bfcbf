"""What the translators wrote, read without gettext, which not every machine has."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import django_tasks

LOCALE = Path(django_tasks.__file__).parent / "locale"
LANGUAGES = tuple(sorted(path.name for path in LOCALE.iterdir() if path.is_dir()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One text and what stands for it, in as many forms as the language has."""

    context: str | None
    source: str
    plural: str | None
    translations: Sequence[str]
    is_fuzzy: bool

    @property
    def key(self) -> tuple[str | None, str]:
        return self.context, self.source


def compiled(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.mo"


def entries(language: str, locale: Path = LOCALE) -> list[Entry]:
    """All of a `.po`, the header among them, whose source is empty."""
    text = (locale / language / "LC_MESSAGES" / "django.po").read_text(encoding="utf-8")
    return [_entry(block.splitlines()) for block in text.strip().split("\n\n")]


def _entry(lines: Sequence[str]) -> Entry:
    fields = dict(_fields(lines))
    return Entry(
        context=fields.get("msgctxt"),
        source=fields["msgid"],
        plural=fields.get("msgid_plural"),
        translations=tuple(text for name, text in fields.items() if name.startswith("msgstr")),
        is_fuzzy=any(line.startswith("#,") and "fuzzy" in line for line in lines),
    )


def _fields(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and texts; a text goes on in the lines that begin with a quote."""
    name, parts = "", list[str]()
    for line in (line for line in lines if not line.startswith("#")):
        if not line.startswith('"'):
            if name:
                yield name, "".join(parts)
            name, line = line.split(" ", 1)
            parts = []
        # A .po escapes as C does, which for what stands in ours is as Python does.
        parts.append(ast.literal_eval(line))
    yield name, "".join(parts)
