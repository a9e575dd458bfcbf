"""The tables of options, states and the request list what there is, all of it and nothing else."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import typing
from pathlib import Path
from types import ModuleType

import pytest

from django_tasks import GroupResult, ResultSet, Signature, states
from django_tasks.definition.context import Context
from django_tasks.definition.options import (
    CALL_OPTIONS_TO_COME,
    TASK_OPTIONS_TO_COME,
    CallOptions,
    TaskOptions,
)

DOCS = Path(__file__).parents[2] / "docs"
SETS = sorted(name for name, value in vars(states).items() if isinstance(value, frozenset))


@pytest.fixture(scope="module")
def options_page() -> ModuleType:
    """The Sphinx extension, loaded as Sphinx does but without it."""
    spec = importlib.util.spec_from_file_location("options_page", DOCS / "_ext" / "options_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def of_tasks(options_page) -> dict[str, list[str]]:
    return table(filled(options_page), "## Of a task")


@pytest.fixture(scope="module")
def of_calls(options_page) -> dict[str, list[str]]:
    return table(filled(options_page), "## Of one call")


def filled(page: ModuleType) -> str:
    source = [(DOCS / "reference" / "options.md").read_text()]
    page.fill(None, "reference/options", source)
    return source[0]


def table(text: str, heading: str = "# ") -> dict[str, list[str]]:
    """The rows of the first table below a heading: what stands in the first column, and the other cells."""
    _, _, below = text.partition(heading)
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()[2:]]
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def test_every_option_of_tasks_is_listed_and_no_other(of_tasks):
    assert list(of_tasks) == [field.name for field in dataclasses.fields(TaskOptions)]


@pytest.mark.parametrize("option", dataclasses.fields(TaskOptions), ids=lambda option: option.name)
def test_an_option_of_tasks_is_listed_with_its_default_and_sentence(of_tasks, option):
    kind, default, sentence = of_tasks[option.name]

    assert kind != "``"
    assert default == f"`{option.default!r}`"
    assert sentence == option.metadata["sentence"]


def test_every_option_of_calls_is_listed_with_its_sentence_and_no_other(of_calls):
    hints = typing.get_type_hints(CallOptions, include_extras=True)

    assert {name: cells[-1] for name, cells in of_calls.items()} == {
        name: hint.__metadata__[0] for name, hint in hints.items()
    }


def test_the_options_to_come_are_listed(options_page):
    _, _, to_come = filled(options_page).partition("## Not in this version")

    assert set(re.findall(r"`(\w+)`", to_come)) == TASK_OPTIONS_TO_COME | CALL_OPTIONS_TO_COME


def test_nothing_is_left_to_be_filled_in(options_page):
    assert "<!--" not in filled(options_page)


def test_pages_without_options_are_left_as_they_are(options_page):
    page = ["<!-- the options of tasks -->"]

    options_page.fill(None, "reference/command", page)

    assert page == ["<!-- the options of tasks -->"]


def test_every_attribute_of_a_request_is_listed_and_no_other():
    there = {name for name in dir(Context) if not name.startswith("_")} - {
        "of",
        "get",
        "as_execution_options",
    }

    assert set(table((DOCS / "reference" / "request.md").read_text())) == there


def test_every_state_is_listed_with_the_sets_that_matter_to_callers():
    there = {value for name, value in vars(states).items() if name == value}

    listed = table((DOCS / "reference" / "states.md").read_text())

    assert set(listed) == there
    assert {state for state, (*_, ready, _) in listed.items() if ready} == states.READY_STATES
    assert {state for state, (*_, raised) in listed.items() if raised} == states.PROPAGATE_STATES


def test_every_set_of_states_is_listed_as_it_is():
    listed = table((DOCS / "reference" / "states.md").read_text(), "## Sets")

    assert {name: set(re.findall(r"\w+", cells[0])) for name, cells in listed.items()} == {
        name: set(getattr(states, name)) for name in SETS
    }


def test_the_order_of_states_is_told_as_it_is():
    _, _, told = (DOCS / "reference" / "states.md").read_text().partition("states.precedence`): ")

    named = [None if name == "one of your own" else name for name in re.split(r",\s+", told.strip(" .\n"))]

    assert tuple(named) == states.PRECEDENCE


#: What the rest of the package uses of signatures.
NOT_FOR_CALLERS = {"OWN", "TASKS", "TYPES", "change_parts", "for_tasks", "links", "parts", "register_type"}


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def first_column(heading: str) -> str:
    return " ".join(table((DOCS / "reference" / "workflows.md").read_text(), heading))


def test_all_that_a_signature_can_do_is_listed():
    listed = set(re.findall(r"\w+", first_column("## What a signature can do")))

    assert public(Signature) - NOT_FOR_CALLERS <= listed


def test_the_keys_of_a_signature_are_listed():
    keys = table((DOCS / "reference" / "workflows.md").read_text(), "## The keys")

    assert set(keys) == set(Signature("shop.tasks.add"))


def test_all_that_a_group_s_handle_can_do_is_listed_and_no_more():
    listed = set(re.findall(r"(?<!\()\b(\w+)\b", re.sub(r"\(.*?\)", "", first_column("## GroupResult"))))

    assert listed - {"GroupResult"} == public(ResultSet) | public(GroupResult) | {"results"}


@pytest.mark.parametrize(
    "name", ["chain", "chord", "chunks", "group", "xmap", "xstarmap", "TaskSet", "subtask"]
)
def test_every_way_to_compose_is_listed(name):
    assert f"{name}(" in first_column("## Making them")
