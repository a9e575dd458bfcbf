"""Workflows in real workers (FEATURES §11): every shape, and what ends in the midst of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from django_tasks import AsyncResult, chain, chord, group
from django_tasks.definition import order
from django_tasks.exceptions import ChordError, TaskRevokedError
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import (
    add,
    become,
    become_atomically,
    collect,
    constant,
    enlarge,
    fail,
    forget_value,
    ignore,
    note_value,
    on_error,
    on_error_id,
    plus,
    total,
    who,
)
from tests.shapes import EXAMPLES, Shape, shapes
from tests.workers import RunningWorker, status

pytestmark = pytest.mark.worker
Run = Callable[..., RunningWorker]


def entries() -> list[str]:
    return sorted(Entry.objects.values_list("task_id", flat=True))


def test_each_shape_comes_to_what_it_should(run_burst: Run) -> None:
    sent = {name: workflow.apply_async() for name, (workflow, _) in EXAMPLES.items()}

    run_burst()

    found = {name: result.get(timeout=0) for name, result in sent.items()}
    assert found == {name: expected for name, (_, expected) in EXAMPLES.items()}
    assert not TaskGroup.objects.unfinished().exists()


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # or that is all one sees of a failure
@settings(
    deadline=None,
    max_examples=2,  # the first is the smallest there is
    phases=[Phase.generate],  # one run of a worker for many shapes; what fails is to be made smaller eagerly
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(some=st.lists(shapes, min_size=60, max_size=60))
def test_any_shape_comes_to_what_plain_python_reckons(some: list[Shape], run_burst: Run) -> None:
    sent = [shape.signature().apply_async((1,)) for shape in some]

    run_burst("--processes=2")

    assert [result.get(timeout=0) for result in sent] == [shape.result(1) for shape in some]


# -- callbacks


def test_exe_07_can_12_a_link_is_called_with_the_result(run_burst: Run) -> None:
    sent = add.apply_async((2, 2), link=[note_value.s(), add.s(16)])

    run_burst()

    assert sent.get(timeout=0) == 4
    assert sorted(child.get(timeout=0) for child in sent.children) == [4, 20]
    assert Entry.objects.get().number == 4


def test_a_link_may_be_a_workflow(run_burst: Run) -> None:
    sent = add.apply_async((2, 2), link=group(add.s(1), add.s(2)) | note_value.s())

    run_burst()

    assert TaskResult.objects.get(task=note_value.name).result == "[5, 6]"
    assert sent.get(timeout=0) == 4


def test_exe_08_link_error_is_called_in_both_styles(run_burst: Run) -> None:
    sent = fail.apply_async(("bang",), link_error=[on_error_id.s(), on_error.s()])

    run_burst()

    assert entries() == sorted([f"failed {sent.id}", f"{sent.id} ValueError('bang') True"])


def test_an_error_callback_of_a_task_that_succeeds_is_not_called(run_burst: Run) -> None:
    add.apply_async((1, 2), link_error=[on_error_id.s(), on_error.s()])

    run_burst()

    assert entries() == []


# -- what ends in the midst


def test_can_07_a_failure_ends_the_rest_of_the_chain(run_burst: Run) -> None:
    sent: Any = chain(add.s(1, 2), fail.si("bang"), note_value.s(), add.s(3)).apply_async()

    run_burst()

    states = [AsyncResult(id).state for id in (sent.id, sent.parent.id, sent.parent.parent.id)]
    assert states == ["FAILURE"] * 3
    with pytest.raises(ValueError, match="bang"):
        sent.get(timeout=0)
    assert entries() == []


def test_a_revoked_step_ends_the_rest_of_the_chain(transactional_db: None) -> None:
    sent: Any = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()

    assert sent.parent.parent.revoke()

    assert [result.state for result in (sent, sent.parent, sent.parent.parent)] == ["REVOKED"] * 3
    with pytest.raises(TaskRevokedError):
        sent.get(timeout=0)


@pytest.mark.parametrize("broken", [fail.si("bang"), constant.s(1) | fail.si("bang") | add.s(1)])
def test_can_11_a_broken_header_ends_the_body(run_burst: Run, broken: Any) -> None:
    body = collect.s().on_error(on_error_id.s()).on_error(on_error.s())
    sent = (chord([constant.s(1), broken], body) | note_value.s()).apply_async()

    run_burst()

    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError\('bang'\)"):
        sent.get(timeout=0)
    failed = TaskResult.objects.get(task=collect.name)
    told, called = entries()[::-1] if entries()[0].startswith(failed.id) else entries()
    assert told == f"failed {failed.id}"
    assert called.startswith(f"{failed.id} ChordError(")


def test_a_header_task_that_is_ignored_ends_the_body(run_burst: Run) -> None:
    sent = chord([constant.s(1), ignore.si()], collect.s()).apply_async()

    run_burst()

    with pytest.raises(ChordError, match="IGNORED"):
        sent.get(timeout=0)


def test_a_revoked_header_task_ends_the_body_with_every_worker_down(transactional_db: None) -> None:
    sent: Any = chord([constant.s(1), constant.s(2) | add.s(1)], collect.s()).apply_async()

    sent.parent.revoke()

    assert sent.state == "FAILURE"
    assert TaskGroup.objects.get().completed == 2
    with pytest.raises(TaskRevokedError):
        sent.parent.get(timeout=0)


def test_a_header_task_that_expired_ends_the_body(run_burst: Run) -> None:
    sent = chord([constant.s(1), constant.s(2).set(expires=0.001)], collect.s()).apply_async()

    run_burst()

    with pytest.raises(ChordError, match="expired"):
        sent.get(timeout=0)


def test_a_header_result_that_was_forgotten_is_not_left_out(run_burst: Run) -> None:
    sent: Any = chord([constant.s(1), constant.s(2).set(queue="third")], collect.s()).apply_async()
    run_burst("--queues=default")
    sent.parent.results[0].forget()

    run_burst()

    with pytest.raises(ChordError, match="1 of the 2 results were forgotten"):
        sent.get(timeout=0)


def test_a_group_waits_for_those_only_that_leave_something_behind(run_burst: Run) -> None:
    sent = group(forget_value.s(1), constant.s(2), constant.s(3).set(ignore_result=True)).apply_async()
    forgotten = group(forget_value.s(1), forget_value.s(2)).apply_async()

    run_burst()

    assert [(row.total, row.completed) for row in TaskGroup.objects.all()] == [(1, 1)]
    assert sent.get(timeout=1) == [None, 2, None]
    assert forgotten.get(timeout=1) == [None, None]


@pytest.mark.parametrize("nonsense", [{"no": "task"}, {"task": 5}, {"task": "celery.chord", "kwargs": {}}])
@pytest.mark.parametrize("task", [constant.s(1), fail.s("bang")])
def test_nonsense_that_a_foreign_program_wrote_after_a_task_keeps_nobody_from_ending(
    run_burst: Run, task: Any, nonsense: Any
) -> None:
    foreign = task.type._message(task.args, {}, {})
    order.send([replace(foreign, callbacks=(nonsense,), chain=(add.s(1), nonsense), errbacks=(nonsense,))])
    beside = constant.delay(1)

    run_burst()

    assert status(foreign.id) == ("SUCCESS" if task.task == constant.name else "FAILURE")
    assert status(beside.id) == "SUCCESS"


def test_a_step_that_others_wait_for_is_tracked_whatever_its_task_says(run_burst: Run) -> None:
    sent: Any = chain(forget_value.s(1), add.s(1)).apply_async()
    inside: Any = chord([forget_value.s(3) | forget_value.s()], collect.s()).apply_async()

    run_burst()

    assert sent.parent.get(timeout=1) == 1
    assert inside.parent.results[0].get(timeout=1) == 3
    assert TaskResult.objects.filter(task=forget_value.name).count() == 3


# -- who knows whom


def test_can_14_req_21_req_22_ids_go_along_a_chain(run_burst: Run) -> None:
    sent: Any = chain(who.s(), who.s(), who.s()).apply_async()

    run_burst()

    first, second, third = (sent.parent.parent, sent.parent, sent)
    told = [result.get(timeout=0) for result in (first, second, third)]
    assert [one["root"] for one in told] == [first.id] * 3
    assert [one["parent"] for one in told] == [None, first.id, second.id]


def test_a_whole_workflow_is_sent_or_nothing_of_it(transactional_db: None) -> None:
    with pytest.raises(TypeError):
        group(add.s(1, 1), add.s(1, 1, 1)).apply_async()

    assert [model.objects.count() for model in (TaskResult, QueuedMessage, TaskGroup)] == [0, 0, 0]


# -- replace, add_to_chord


@pytest.mark.parametrize("task", [become, become_atomically])
@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        (add.s(1, 2), 3),
        (add.s(1, 2) | add.s(3), 6),
        (group(add.s(1, 2), add.s(3, 4)), [3, 7]),
        (chord([add.s(1, 2), add.s(3, 4)], total.s()), 10),
    ],
)
def test_a_task_is_replaced_by_a_workflow(run_burst: Run, task: Any, workflow: Any, expected: Any) -> None:
    sent: Any = chain(task.s(workflow), plus.s(1)).apply_async()
    inside = chord([task.s(workflow), constant.s(0)], total.s()).apply_async()

    run_burst()

    assert sent.parent.get(timeout=0) == expected
    assert sent.get(timeout=0) == total(expected) + 1
    assert inside.get(timeout=0) == total(expected)


def test_what_takes_the_place_of_a_member_is_counted_whatever_its_task_says(run_burst: Run) -> None:
    sent = chord([become.s(forget_value.s(3)), constant.s(0)], collect.s()).apply_async()

    run_burst()

    assert sent.get(timeout=0) == [3, 0]


def test_a_replaced_task_keeps_its_callbacks(run_burst: Run) -> None:
    become.apply_async((add.s(1, 2) | add.s(3),), link=note_value.s())
    failing = become.apply_async((fail.si("bang") | add.s(3),), link_error=on_error_id.s())

    run_burst()

    assert TaskResult.objects.get(task=note_value.name).result == "6"
    assert failing.state == "FAILURE"
    assert len(entries()) == 2


def test_a_chord_grows_while_it_runs(run_burst: Run) -> None:
    sent = chord([constant.s(1), enlarge.s(2)], collect.s()).apply_async()

    run_burst()

    assert sent.get(timeout=0) == [1, 2, 100, 101]
