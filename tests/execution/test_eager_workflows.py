"""Workflows run where they are sent (FEATURES §11): the same layout and settlement, in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from django_tasks import chain, chord, group
from django_tasks.exceptions import ChordError
from tests.ledger.tasks import add, collect, constant, fail
from tests.shapes import EXAMPLES, Shape, shapes


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_workflow_comes_to_what_it_should(name: str, db: None) -> None:
    workflow, expected = EXAMPLES[name]

    assert workflow.apply().get() == expected


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "chunks"])
def test_a_workflow_can_be_given_its_ids_before_it_is_sent(name: str, db: None) -> None:
    workflow = EXAMPLES[name][0].clone()

    handle = workflow.freeze()
    again = workflow.freeze()
    sent = workflow.apply()

    assert again.as_tuple() == handle.as_tuple() == sent.as_tuple()
    assert sent.get() == EXAMPLES[name][1]


def test_chunks_have_no_ids(db: None) -> None:
    with pytest.raises(TypeError, match=r"Freeze their group\(\)"):
        add.chunks([(1, 2)], 1).freeze()


@settings(deadline=None, max_examples=200)
@given(shape=shapes)
def test_any_workflow_comes_to_what_plain_python_reckons(shape: Shape) -> None:
    assert shape.signature().apply((1,)).get() == shape.result(1)


def test_can_07_a_failure_ends_the_chain(db: None) -> None:
    result: Any = chain(add.s(1, 2), fail.si("bang"), add.s(3)).apply()

    assert (result.state, result.parent.state, result.parent.parent.state) == (
        "FAILURE",
        "FAILURE",
        "SUCCESS",
    )
    with pytest.raises(ValueError, match="bang"):
        result.get()


def test_can_11_a_failure_in_the_header_is_a_chord_error_of_the_body(db: None) -> None:
    result: Any = chord([constant.s(1), fail.s("bang")], collect.s()).apply()

    with pytest.raises(ChordError, match="bang"):
        result.get()


def test_always_eager_runs_workflows_when_they_are_sent(db: None, settings: Any) -> None:
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "TASK_ALWAYS_EAGER": True}

    assert group(add.s(1, 1), add.s(2, 2)).delay().get() == [2, 4]
    assert add.apply_async((1, 2), link=add.s(3)).get() == 3
