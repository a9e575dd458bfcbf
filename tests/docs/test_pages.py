"""Every page: its Python compiles, its links lead somewhere, and what it lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*/*.md")),
]
CODE_FILE = re.compile(r"`([a-z_]+/[a-z_0-9/]+\.py)`")
TEST = re.compile(r"`(test_\w+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def names_of_tests() -> set[str]:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}


def test_python_on_a_page_compiles(page, fenced_blocks):
    for block in fenced_blocks(page):
        if block["language"] == "python":
            compile(block["text"], page.name, "exec")


def test_a_link_between_pages_leads_somewhere(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]

    assert missing == []


def test_a_file_named_on_a_page_exists(page):
    named = CODE_FILE.findall(page.read_text())
    missing = [
        name for name in named if not (ROOT / name).exists() and not (ROOT / "django_tasks" / name).exists()
    ]

    assert missing == []


def test_a_test_named_on_a_page_exists(page, names_of_tests):
    named = TEST.findall(page.read_text())

    assert set(named) <= names_of_tests
