"""Who came before and what came of a task, as its handle tells it (FEATURES CAN-13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import AsyncResult, EagerResult, GroupResult, ResultSet
from django_tasks.exceptions import IncompleteStream, TimeoutError
from django_tasks.models import TaskResult
from django_tasks.results.store import Facts, Record

Send = Callable[..., str]
SendGroup = Callable[..., GroupResult]
End = Callable[..., None]

pytestmark = pytest.mark.django_db


# -- what came before


def test_a_parent_that_the_sender_knows_goes_before_what_the_row_says(send: Send) -> None:
    id = send(parent_id="sender")
    step, group = AsyncResult[Any]("step"), GroupResult("group")

    assert AsyncResult[Any](id).parent == AsyncResult("sender")
    assert AsyncResult[Any](id, parent=step).parent == step
    assert AsyncResult[Any](id, parent=group).parent == group
    with CaptureQueriesContext(connection) as asked:
        assert AsyncResult[Any](id, parent=AsyncResult("step", parent=group)).as_list() == [
            id,
            "step",
            "group",
        ]
    assert not len(asked)


@pytest.mark.django_db(transaction=True)
def test_a_failure_of_an_earlier_step_is_raised_when_the_last_one_does_not_end(send: Send, end: End) -> None:
    first, second, last = AsyncResult[Any](send()), send(), send()
    end(first.id, 1)
    end(second, error=ValueError("no"))
    handle = AsyncResult[Any](last, parent=AsyncResult(second, parent=first))

    with pytest.raises(ValueError, match="no"):
        handle.get(timeout=0)
    with pytest.raises(ValueError, match="no"):
        async_to_sync(handle.aget)(timeout=0)
    for options in ({"propagate": False}, {"follow_parents": False}):
        with pytest.raises(TimeoutError):
            handle.get(timeout=0, **options)
    with pytest.raises(TimeoutError):
        AsyncResult[Any](last, parent=GroupResult("header", [first])).get(timeout=0)


def test_a_handle_with_a_parent_asks_no_more_than_one_without(send: Send, end: End) -> None:
    id = send()
    end(id, 5)

    with CaptureQueriesContext(connection) as asked:
        assert AsyncResult[Any](id, parent=AsyncResult("step")).get() == 5

    assert len(asked) == 1


def test_a_chain_is_forgotten_back_to_its_beginning(send: Send, end: End) -> None:
    ids = [send() for _ in range(1500)]
    TaskResult.objects.update(status="SUCCESS", result="1")
    handle = AsyncResult[Any](ids[0])
    for id in ids[1:]:
        handle = AsyncResult(id, parent=handle)
    handle.get()

    handle.forget()

    assert not TaskResult.objects.exists()
    assert handle.state == "PENDING"


@pytest.mark.parametrize("propagate", [True, False])
def test_maybe_throw_tells_or_raises_what_there_is(send: Send, end: End, propagate: bool) -> None:
    waiting, failed, ended = AsyncResult[Any](send()), AsyncResult[Any](send()), AsyncResult[Any](send())
    end(ended.id, 5)
    told: list[Any] = []
    assert waiting.maybe_throw(callback=lambda id, value: told.append((id, value))) is None
    assert ended.maybe_throw(propagate, callback=lambda id, value: told.append((id, value))) == 5

    end(failed.id, error=ValueError("no"))

    assert told == [(waiting.id, None), (ended.id, 5)]
    if propagate:
        with pytest.raises(ValueError, match="no"):
            failed.maybe_throw()
    else:
        assert isinstance(failed.maybe_throw(propagate=False), ValueError)


# -- what came of it


@pytest.fixture
def tree(send: Send, send_group: SendGroup, end: End) -> AsyncResult[Any]:
    """A task that sent a group of two and then a task; the group's second member is the last step of a chain."""
    top = send()
    group = send_group(2, parent_id=top)
    first_step, plain = send(parent_id=top), send(parent_id=top)
    TaskResult.objects.filter(id="group-0-0").update(parent_id=top)
    TaskResult.objects.filter(id="group-0-1").update(parent_id=first_step)
    for number, id in enumerate((top, first_step, plain, *(handle.id for handle in group.results))):
        end(id, number)
    return AsyncResult(top)


def test_can_13_a_group_that_a_task_sent_is_one_of_its_children(tree: AsyncResult[Any]) -> None:
    group = GroupResult("group-0", [AsyncResult("group-0-0"), AsyncResult("group-0-1")])

    assert sorted(map(str, tree.children)) == ["group-0", "task-1", "task-2"]
    assert group in tree.children
    assert AsyncResult[Any]("task-1").children == [AsyncResult("group-0-1")]
    assert AsyncResult[Any]("task-2").children == []


def test_all_that_came_of_a_task_is_found_once_level_by_level(tree: AsyncResult[Any]) -> None:
    found = [(sender and str(sender), str(node)) for sender, node in tree.iterdeps()]

    assert found[0] == (None, "task-0")
    assert set(found[1:4]) == {("task-0", "group-0"), ("task-0", "task-1"), ("task-0", "task-2")}
    assert sorted(node for _, node in found[4:]) == ["group-0-0", "group-0-1"]
    assert {str(node): value for node, value in tree.collect()} == {
        "task-0": 0,
        "task-1": 1,
        "task-2": 2,
        "group-0": [3, 4],
        "group-0-0": 3,
        "group-0-1": 4,
    }
    assert tree.get_leaf() in (3, 4)
    assert sorted(map(str, tree.graph[tree])) == ["group-0", "task-1", "task-2"]
    assert len(tree.graph) == 6


def test_what_has_not_ended_is_told_or_left_out(tree: AsyncResult[Any], send: Send) -> None:
    send(parent_id="task-2")

    with pytest.raises(IncompleteStream, match=r"Task task-3 has not ended\. Wait for it, or ask with"):
        tree.build_graph()

    assert AsyncResult("task-3") in tree.build_graph(intermediate=True)


def test_a_level_of_a_thousand_is_asked_for_in_parts(send: Send, send_group: SendGroup) -> None:
    top = send(status="SUCCESS", result="0")
    send_group(1000, parent_id=top)
    TaskResult.objects.filter(group_id="group-0").update(parent_id=top, status="SUCCESS", result="1")

    with CaptureQueriesContext(connection) as asked:
        assert len(list(AsyncResult[Any](top).iterdeps())) == 1002

    assert len(asked) < 15


def test_an_eager_result_has_the_parent_and_the_children_it_was_given() -> None:
    parent, child = AsyncResult[Any]("parent"), AsyncResult[Any]("child")
    record = Record(id="eager", status="SUCCESS", text="5")

    handle: EagerResult[Any] = EagerResult(record, Facts(), parent=parent, children=[child])

    assert (handle.parent, handle.children) == (parent, [child])


# -- sets of any tasks


def test_a_set_keeps_its_order_and_has_each_once(send: Send, end: End) -> None:
    one, two = AsyncResult[Any](send()), AsyncResult[Any](send())
    several = ResultSet([one])
    end(two.id, 2)

    several.add(two)
    several.add(one)

    assert (list(several), several[1], len(several), several) == ([one, two], two, 2, ResultSet([one, two]))
    assert (several.waiting(), several.completed_count(), repr(several)) == (
        True,
        1,
        "<ResultSet: [task-0, task-1]>",
    )
    several.discard(one)
    assert several.get() == [2]
    several.clear()
    assert (several.get(), several.children) == ([], [])


def test_a_group_in_a_set_stands_for_the_list_of_its_results(send_group: SendGroup, end: End) -> None:
    inner = send_group(2)
    for number, handle in enumerate(inner.results):
        end(handle.id, number)
    end_of = GroupResult("outer", [inner, EagerResult(Record(id="x", status="SUCCESS", text="9"), Facts())])

    assert end_of.get() == [[0, 1], 9]
    assert (end_of.ready(), end_of.completed_count()) == (True, 3)


def test_two_handles_on_one_task_both_learn_its_end(send: Send, end: End) -> None:
    id = send()
    several = ResultSet([AsyncResult(id), AsyncResult(id)])
    end(id, 5)

    with CaptureQueriesContext(connection) as asked:
        assert several.get() == [5, 5]

    assert len(asked) == 1


def test_asking_whether_all_are_ready_stops_where_it_is_clear_that_they_are_not(send: Send) -> None:
    several = ResultSet(AsyncResult(f"unknown-{number}") for number in range(2000))

    with CaptureQueriesContext(connection) as asked:
        assert not several.ready()

    assert len(asked) == 1


@pytest.mark.django_db(transaction=True)
def test_waiting_for_many_without_a_row_asks_for_the_first_of_them(send: Send, end: End) -> None:
    ids = [send() for _ in range(3)]
    several = ResultSet([AsyncResult(ids[0]), *(AsyncResult(f"unknown-{n}") for n in range(2000))])

    with CaptureQueriesContext(connection) as asked, pytest.raises(TimeoutError, match="2001 of 2001 tasks"):
        several.get(timeout=0)
    with pytest.raises(TimeoutError, match="have not ended after 0 seconds"):
        async_to_sync(several.aget)(timeout=0)

    assert sum("taskresult" in query["sql"] for query in asked) == 2
    end(ids[0], error=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        several.get(timeout=30)


@pytest.mark.django_db(transaction=True)
def test_ends_of_later_tasks_come_before_those_of_earlier_ones_that_take_long(send: Send, end: End) -> None:
    last = send()
    several = ResultSet([*(AsyncResult(f"unknown-{n}") for n in range(1000)), AsyncResult(last)])
    end(last, 5)

    assert next(several.iterate(timeout=30)) == 5
