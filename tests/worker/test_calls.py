"""How a real worker calls a body, and what the body knows of that."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import Task
from tests.ledger.tasks import debugged, debugged_async, send_family, show_limits, take_anything
from tests.workers import RunningWorker

pytestmark = pytest.mark.worker
RunBurst = Callable[..., RunningWorker]


@pytest.mark.parametrize("task", [debugged, debugged_async], ids=["plain", "async"])
def test_exm_12_a_class_that_overrides_call_has_it_called(run_burst: RunBurst, task: Task[..., Any]) -> None:
    sent = task.delay(5)

    run_burst("--processes=1")

    assert sent.get(timeout=1) == ["around", sent.id, [sent.id, 5]]


def test_an_argument_may_be_named_self(run_burst: RunBurst) -> None:
    sent = take_anything.delay(self=1, args=2, task=3)

    run_burst("--processes=1")

    assert sent.get(timeout=1) == {"self": 1, "args": 2, "task": 3}


def test_req_27_a_run_knows_its_children_and_the_row_knows_them_too(run_burst: RunBurst) -> None:
    """RES-06: what `on_message` is told names the parent."""
    told: list[dict[str, Any]] = []
    sent = send_family.delay(3)

    run_burst("--processes=1")

    children = sent.get(timeout=1)
    assert len(children) == 3
    assert [child.id for child in sent.children] == children
    sent.children[0].get(timeout=1, on_message=told.append)
    assert told[-1]["parent_id"] == sent.id


def test_req_16_the_limits_of_the_run_are_told_hard_and_soft(run_burst: RunBurst) -> None:
    of_the_task, of_the_call = show_limits.delay(), show_limits.apply_async(time_limit=300)

    run_burst("--processes=1")

    assert json.dumps([of_the_task.get(timeout=1), of_the_call.get(timeout=1)]) == "[[600, 60], [300, 60]]"
