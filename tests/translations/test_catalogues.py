"""The translations as files: whole, right in form, compiled as they stand, and about what is shown."""

from __future__ import annotations

import ast
import gettext
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalogues import LANGUAGES, LOCALE, Entry, compiled, entries

PACKAGE = LOCALE.parent
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?0?\d*[a-z]|%%")

each_language = pytest.mark.parametrize("language", LANGUAGES)


def texts(language: str) -> list[Entry]:
    return [entry for entry in entries(language) if entry.source]


def placeholders(text: str) -> Counter[str]:
    return Counter(PLACEHOLDER.findall(text))


def said_at_import(tree: ast.Module) -> Iterator[int]:
    """Lines that translate while a module is imported, when nobody knows yet for whom."""
    now = {"gettext", "ngettext", "pgettext", "npgettext"}
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in now
    }
    later = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node.lineno
        left += [child for child in ast.iter_child_nodes(node) if not isinstance(child, later)]


def test_the_languages_are_those_that_are_promised() -> None:
    assert LANGUAGES == ("de", "es", "fr", "ja", "zh_Hans")


@each_language
def test_everything_is_translated_and_nothing_is_a_guess(language: str) -> None:
    unfinished = [entry.source for entry in texts(language) if entry.is_fuzzy or not all(entry.translations)]

    assert unfinished == []


@each_language
def test_a_translation_has_as_many_forms_as_its_language(language: str) -> None:
    (header,) = (entry for entry in entries(language) if not entry.source)
    (number,) = re.findall(r"nplurals=(\d)", header.translations[0])

    wrong = [
        entry.source
        for entry in texts(language)
        if len(entry.translations) != (1 if entry.plural is None else int(number))
    ]

    assert wrong == []


@each_language
def test_a_translation_has_the_placeholders_of_its_source(language: str) -> None:
    wrong = [
        (entry.source, text)
        for entry in texts(language)
        for text in entry.translations
        # The form for one may do without its number, as the English one does.
        if placeholders(text) not in (placeholders(entry.source), placeholders(entry.plural or entry.source))
    ]

    assert wrong == []


@each_language
def test_no_html_is_left_to_translators(language: str) -> None:
    found = [text for entry in texts(language) for text in (entry.source, *entry.translations)]

    assert [text for text in found if re.search(r"<\w|</|&\w+;", text)] == []


@each_language
def test_a_compiled_catalogue_says_what_is_written(language: str) -> None:
    with compiled(language).open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    written: dict[str | tuple[str, int], str] = {}
    for entry in texts(language):
        key = entry.source if entry.context is None else f"{entry.context}\x04{entry.source}"
        forms = enumerate(entry.translations)
        written |= {key if entry.plural is None else (key, form): text for form, text in forms}

    assert {key: text for key, text in catalogue.items() if key} == written


def test_nothing_is_translated_while_a_module_is_imported() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in said_at_import(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert found == []


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str | None, str]]:
    """What is marked to be translated, found as `make messages` finds it."""
    if shutil.which("xgettext") is None and os.environ.get("CI") != "true":
        pytest.skip("gettext is not installed: apt install gettext")
    copy = tmp_path_factory.mktemp("marked") / "django_tasks"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.po", "*.mo", "__pycache__"))
    gather = [sys.executable, "-m", "django", "makemessages", "--locale", "de", "--no-location", "--no-wrap"]
    subprocess.run(gather, cwd=copy, check=True, capture_output=True, env=without_settings())
    return {entry.key for entry in entries("de", Path(copy) / "locale") if entry.source}


def without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


@each_language
def test_whatever_is_marked_is_translated(language: str, shown: set[tuple[str | None, str]]) -> None:
    missing = shown - {entry.key for entry in texts(language)}

    assert missing == set(), "Run: make messages"
