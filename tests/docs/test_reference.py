"""The reference pages list what there is, all of it and nothing else."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import load_command_class

from django_tasks.conf import Settings

DOCS = Path(__file__).parents[2] / "docs"
OPTION = re.compile(r"^`(--[a-z-]+)", re.MULTILINE)
#: Django gives these to every command.
OF_EVERY_COMMAND = {
    "--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color",
    "--force-color", "--skip-checks",
}  # fmt: skip


@pytest.fixture(scope="module")
def settings_page() -> ModuleType:
    """The Sphinx extension, loaded as Sphinx does but without it."""
    spec = importlib.util.spec_from_file_location("settings_page", DOCS / "_ext" / "settings_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("setting", dataclasses.fields(Settings), ids=lambda setting: setting.name)
def test_a_setting_is_listed_with_its_sentence_and_default(settings_page, setting):
    page = [(DOCS / "reference" / "settings.md").read_text()]

    settings_page.fill(None, "reference/settings", page)
    _, _, entry = page[0].partition(f"## `{setting.name}`\n")
    entry, _, _ = entry.partition("\n## ")

    assert setting.metadata["sentence"] in entry
    assert f"Default\n: `{getattr(Settings(), setting.name)!r}`" in entry


def test_other_pages_are_left_as_they_are(settings_page):
    page = ["<!-- the settings -->"]

    settings_page.fill(None, "reference/command", page)

    assert page == ["<!-- the settings -->"]


def test_every_option_of_runworker_is_listed_and_no_other():
    parser = load_command_class("django_tasks", "runworker").create_parser("manage.py", "runworker")
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}

    listed = OPTION.findall((DOCS / "reference" / "command.md").read_text())

    assert sorted(listed) == sorted(options - OF_EVERY_COMMAND)
