"""The handle on a group: it asks the group's row, and its tasks together (FEATURES CAN-08, CAN-09, CAN-10)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_tasks import AsyncResult, EagerResult, GroupResult, TaskSetResult, app, result_from_tuple
from django_tasks.exceptions import ResultsDisabled, TaskRevokedError, TimeoutError
from django_tasks.models import TaskGroup, TaskResult
from django_tasks.results.joining import allow_join_result, no_join_result
from django_tasks.results.store import Facts, Record
from tests.threads import Errand

Send = Callable[..., str]
SendGroup = Callable[..., GroupResult]
End = Callable[..., None]

alone = pytest.mark.django_db
with_others = pytest.mark.django_db(transaction=True)


def end_all(group: GroupResult, end: End) -> None:
    for number, id in enumerate(ids(group)):
        end(id, number)


def ids(group: Any) -> list[str]:
    return [handle.id for handle in group]


def asked() -> CaptureQueriesContext:
    return CaptureQueriesContext(connection)


# -- results


@alone
def test_can_08_the_results_come_in_order(send_group: SendGroup, end: End) -> None:
    group = send_group(4)
    for id, value in reversed(list(zip(ids(group), (4, 8, 16, 32), strict=True))):
        end(id, value)

    for get in (
        group.get,
        group.join,
        group.join_native,
        async_to_sync(group.aget),
        async_to_sync(group.ajoin),
    ):
        assert get() == [4, 8, 16, 32]


@alone
def test_can_09_the_results_of_1200_tasks_cost_as_many_questions_as_parts(
    send_group: SendGroup, end: End
) -> None:
    group = send_group(1200)
    TaskResult.objects.update(status="SUCCESS", result="5")
    TaskGroup.objects.update(pending=0, finished_at=TaskGroup.objects.get().created_at)

    with asked() as queries:
        assert group.get() == [5] * 1200

    # The group's row, and its tasks, 500 at a time.
    assert len(queries) == 4
    with asked() as queries:
        assert (group.get()[-1], group.ready(), group.completed_count()) == (5, True, 1200)
    assert len(queries) == 0


@alone
def test_can_09_how_far_a_group_is_costs_one_question(send_group: SendGroup, end: End) -> None:
    group = send_group(700)
    for id in ids(group)[:3]:
        end(id, 1)
    end(ids(group)[3], error=ValueError("no"))

    for ask, answer in (
        (group.completed_count, 3),
        (group.ready, False),
        (group.waiting, True),
        (group.failed, True),
        (group.successful, False),
    ):
        with asked() as queries:
            assert ask() == answer
        assert len(queries) == 1
        assert "django_tasks_taskgroup" in queries[0]["sql"]


@alone
def test_can_09_a_group_is_ready_and_successful_when_its_last_task_is(
    send_group: SendGroup, end: End
) -> None:
    group = send_group(2)
    end(ids(group)[0], 1)
    assert not group.ready()

    end(ids(group)[1], 2)

    assert (group.ready(), group.successful(), group.failed(), group.completed_count()) == (
        True,
        True,
        False,
        2,
    )


@alone
def test_a_group_that_was_changed_here_is_not_counted_by_its_row(send_group: SendGroup, end: End) -> None:
    group, other = send_group(3), send_group(1)
    end(ids(group)[0], 1)
    end(ids(other)[0], 2)

    group.remove(ids(group)[1])
    group.discard("nobody's")
    group.remove(group[1])
    group.update([other[0], other[0], *group])

    assert ids(group) == ["group-0-0", "group-1-0"]
    assert (group.ready(), group.completed_count(), group.get()) == (True, 2, [1, 2])
    with pytest.raises(KeyError, match="nobody's"):
        group.remove("nobody's")


@alone
def test_a_group_without_a_row_asks_its_tasks_together(send: Send, end: End) -> None:
    group = GroupResult("rowless", [AsyncResult(send()) for _ in range(3)])
    end(ids(group)[1], 5)

    with asked() as queries:
        assert (group.completed_count(), group.ready()) == (1, False)

    # The row that is not there, and the tasks, for each of two questions.
    assert len(queries) == 4


@alone
def test_a_group_of_nothing_has_ended() -> None:
    with asked() as queries:
        group = GroupResult("empty", [])
        assert (group.get(), group.ready(), group.successful(), group.failed(), bool(group)) == (
            [],
            True,
            True,
            False,
            True,
        )
        assert not GroupResult()
    assert not len(queries)


@alone
def test_tasks_without_results_are_not_waited_for(send_group: SendGroup, end: End) -> None:
    group = send_group(1)
    end(ids(group)[0], 1)
    group.results.append(AsyncResult("untracked", ignored=True))

    assert (group.get(timeout=0), group.ready(), group.completed_count()) == ([1, None], True, 1)


# -- failures


@alone
def test_the_first_failure_is_raised_or_stands_among_the_results(send_group: SendGroup, end: End) -> None:
    group = send_group(3)
    end(ids(group)[0], 1)
    end(ids(group)[1], error=ValueError("no"))
    end(ids(group)[2], error=KeyError("other"))

    one, two, three = GroupResult(group.id, group.results).get(propagate=False)

    assert (one, type(two), type(three)) == (1, ValueError, KeyError)
    for raising in (group.get, group.maybe_throw, async_to_sync(group.aget)):
        with pytest.raises(ValueError, match="no"):
            raising()


@alone
def test_a_failure_is_raised_although_others_are_still_to_end(send_group: SendGroup, end: End) -> None:
    group = send_group(600)
    end(ids(group)[550], error=ValueError("no"))

    with asked() as queries, pytest.raises(ValueError, match="no"):
        group.get(timeout=20)
    with pytest.raises(ValueError, match="no"):
        async_to_sync(group.aget)(timeout=20)

    assert len(queries) == 3


@with_others
def test_a_failure_is_returned_only_when_all_have_ended(send_group: SendGroup, end: End) -> None:
    group = send_group(2)
    end(ids(group)[1], error=ValueError("no"))

    with pytest.raises(TimeoutError, match=r"1 of 2 tasks of group group-0 have ended after 0\.05 seconds"):
        group.get(timeout=0.05, propagate=False)


@with_others
def test_what_was_ignored_is_waited_for_and_has_no_result(send_group: SendGroup, end: End) -> None:
    group = send_group(2)
    end(ids(group)[0], status="IGNORED")
    waiting = Errand(lambda: group.get(timeout=30))

    end(ids(group)[1], 2)

    assert waiting.result() == [None, 2]


# -- waiting


@with_others
def test_a_group_is_waited_for_by_its_row(send_group: SendGroup, end: End) -> None:
    group = send_group(800)
    ends = ids(group)
    TaskResult.objects.exclude(id=ends[-1]).update(status="SUCCESS", result="1")
    TaskGroup.objects.update(pending=1)

    def get() -> tuple[list[Any], int]:
        with asked() as queries:
            return group.get(timeout=30), len([q for q in queries if "taskresult" in q["sql"]])

    waiting = Errand(get)
    end(ends[-1], 2)
    values, queries = waiting.result()

    assert (values[0], values[-1], queries) == (1, 2, 2)


@with_others
def test_a_time_for_all_is_told_when_it_is_up(send_group: SendGroup, send: Send) -> None:
    group, rowless = send_group(3), GroupResult("x", [AsyncResult(send()), AsyncResult("unknown")])

    with pytest.raises(TimeoutError, match=r"0 of 3 tasks of group group-0 have ended after 0\.05 seconds"):
        group.get(timeout=0.05)
    with pytest.raises(TimeoutError, match=r"2 of 2 tasks have not ended after .* seconds; they go on"):
        rowless.get(timeout=0.05)
    with pytest.raises(TimeoutError, match=r"have not ended after 0\.05 seconds"):
        async_to_sync(group.aget)(timeout=0.05)


@with_others
def test_waiting_for_a_group_of_this_very_transaction_is_refused_with_advice(send_group: SendGroup) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"group group-0.* Call get\(\) after the"):
        send_group(2).get(timeout=1)


@with_others
def test_can_10_a_task_set_is_joined_at_an_interval(send_group: SendGroup, end: End) -> None:
    group = send_group(2)
    tasks = TaskSetResult(group.id, group.results)

    with asked() as often, pytest.raises(TimeoutError):
        tasks.join(timeout=0.4, interval=0.02)
    end_all(group, end)

    assert 12 < len(often) < 30
    assert (tasks.join(interval=0.1), tasks.taskset_id, tasks.total) == ([0, 1], group.id, 2)
    assert tasks.subtasks == group.results


@alone
def test_can_15_inside_a_task_a_group_may_be_asked_for_only_when_it_is_ready(
    send_group: SendGroup, end: End
) -> None:
    ready, waiting = send_group(2), send_group(2)
    end_all(ready, end)

    with no_join_result():
        assert ready.get() == [0, 1]
        for ask in (waiting.get, async_to_sync(waiting.aget), lambda: list(waiting.iterate())):
            with pytest.raises(RuntimeError, match=r"Never call result.get\(\) within a task! .*group-1"):
                ask()
        with allow_join_result(), pytest.raises(TimeoutError):
            async_to_sync(waiting.aget)(timeout=0)
        with pytest.raises(TimeoutError):
            async_to_sync(waiting.aget)(timeout=0, disable_sync_subtasks=False)


# -- one by one


@with_others
def test_results_come_one_by_one_as_the_tasks_end(send_group: SendGroup, end: End) -> None:
    group = send_group(3)
    end(ids(group)[2], "first")
    found: list[Any] = []

    def iterate() -> None:
        for value in group.iterate(timeout=30):
            found.append(value)
            if value == "first":
                end(ids(group)[0], "second")
            if value == "second":
                end(ids(group)[1], "third")

    Errand(iterate).result()

    assert found == ["first", "second", "third"]
    assert [(id, body["status"], body["result"]) for id, body in group.iter_native()] == [
        (ids(group)[number], "SUCCESS", value) for number, value in enumerate(("second", "third", "first"))
    ]


@alone
def test_callbacks_hear_of_each_end_and_of_no_more(send_group: SendGroup, end: End) -> None:
    group = send_group(3)
    end_all(group, end)
    heard: list[Any] = []
    told: list[dict[str, Any]] = []

    with asked() as queries:
        assert group.get(callback=lambda id, value: heard.append((id, value))) == []
        assert group.get(on_message=told.append) == [0, 1, 2]

    assert heard == [("group-0-0", 0), ("group-0-1", 1), ("group-0-2", 2)]
    assert [(body["task_id"], body["status"], body["result"]) for body in told] == [
        (id, "SUCCESS", value) for id, value in heard
    ]
    assert len(queries) == 1


@with_others
def test_states_on_the_way_are_told(send_group: SendGroup, end: End) -> None:
    group = send_group(2)
    TaskResult.objects.filter(id=ids(group)[0]).update(status="PROGRESS", result="50")
    told: list[tuple[str, str]] = []

    def hear(body: dict[str, Any]) -> None:
        told.append((body["task_id"], body["status"]))
        if len(told) == 1:
            end_all(group, end)

    assert group.get(timeout=30, on_message=hear) == [0, 1]
    assert told == [("group-0-0", "PROGRESS"), ("group-0-0", "SUCCESS"), ("group-0-1", "SUCCESS")]


# -- revoking and forgetting


@alone
def test_revoking_a_group_revokes_what_has_not_begun_and_the_steps_before(
    send_group: SendGroup, send: Send, end: End
) -> None:
    group, step, before = send_group(3), AsyncResult[Any](send()), AsyncResult[Any](send())
    group.parent = before
    group.results[0] = AsyncResult(ids(group)[0], parent=AsyncResult(step.id, parent=before))
    end(ids(group)[1], 1)
    TaskResult.objects.filter(id=ids(group)[2]).update(claimed_by="worker")

    revoked = group.revoke(terminate=True)

    statuses = dict(TaskResult.objects.values_list("id", "status"))
    assert revoked == 2
    assert [statuses[id] for id in (*ids(group), step.id, before.id)] == [
        "REVOKED",
        "SUCCESS",
        "PENDING",
        "REVOKED",
        "PENDING",
    ]
    assert list(TaskResult.objects.filter(terminate=True).values_list("id", flat=True)) == [ids(group)[2]]
    with pytest.raises(TaskRevokedError):
        step.get()


@alone
def test_revoking_and_forgetting_many_costs_a_few_questions(send_group: SendGroup) -> None:
    group = send_group(1000)

    with asked() as revoking:
        assert group.revoke() == 1000
    TaskGroup.objects.update(pending=0, failed=1000, finished_at=TaskGroup.objects.get().created_at)
    with asked() as forgetting:
        group.forget()

    assert len(revoking) < 20
    assert len(forgetting) < 10
    assert not TaskResult.objects.exists()
    assert not TaskGroup.objects.exists()
    assert not group.ready()


@alone
def test_an_unfinished_group_is_not_forgotten(send_group: SendGroup, end: End) -> None:
    group = send_group(2)
    end(ids(group)[0], 1)

    group.forget()

    assert ids(TaskResult.objects.all()) == [ids(group)[1]]
    assert TaskGroup.objects.exists()


# -- keeping


@alone
def test_can_09_a_group_that_was_sent_is_found_by_its_id(send_group: SendGroup, end: End) -> None:
    group = send_group(3, parent_id="sender")
    end_all(group, end)

    with asked() as queries:
        again = GroupResult.restore(str(group))

    assert len(queries) == 2
    assert again is not None
    assert (again.get(), again.parent, again.results) == ([0, 1, 2], AsyncResult("sender"), group.results)
    assert (hash(again), type(TaskSetResult.restore(str(group)))) == (hash(group), TaskSetResult)


@alone
def test_can_09_a_saved_group_is_restored_with_its_parents(send: Send, send_group: SendGroup) -> None:
    header = GroupResult("header", [AsyncResult("a"), AsyncResult("b", parent=AsyncResult("first"))])
    collected = app.GroupResult("mine", [AsyncResult(send()), GroupResult("inner", [])], header)
    sent = send_group(2)
    sent.parent = AsyncResult("before")

    for group in (collected, sent):
        group.save()
        group.save()
        assert GroupResult.restore(str(group)) == group

    collected.delete()
    sent.delete()
    assert GroupResult.restore("mine") is None
    again = GroupResult.restore(str(sent))
    assert again is not None
    assert (again.results, again.parent) == (sent.results, None)
    assert TaskGroup.objects.count() == 1


@alone
def test_saving_a_group_whose_turn_is_still_to_come_does_not_stand_in_its_way(send_group: SendGroup) -> None:
    early = GroupResult("group-0", [AsyncResult("group-0-0"), AsyncResult("group-0-1")])
    early.save()

    late = send_group(2)

    assert late.id == early.id
    assert GroupResult.restore("group-0") == early
    assert not early.ready()


@with_others
def test_a_group_found_while_chains_are_under_way_takes_in_their_last_steps(
    send: Send, send_group: SendGroup, end: End
) -> None:
    """The last step of a chain has no row before its turn comes, but the group counts it from the start."""
    group = send_group(2)
    TaskResult.objects.filter(id=ids(group)[0]).delete()
    found = [GroupResult.restore("group-0") for _ in range(4)]
    end(ids(group)[1], "second")

    assert [again is not None and (ids(again), again.ready()) for again in found] == [
        (["group-0-1"], False)
    ] * 4
    with pytest.raises(TimeoutError):
        async_to_sync(found[0].aget)(timeout=0)
    send(id="group-0-0", group_id="group-0", group_index=0)
    waiting = Errand(lambda: found[1].get(timeout=30))
    end("group-0-0", "first")

    assert waiting.result() == ["first", "second"]
    assert async_to_sync(found[0].aget)() == ["first", "second"]
    assert list(found[2].iterate()) == ["first", "second"]
    assert (found[3].successful(), ids(found[3])) == (True, ids(group))


@alone
@pytest.mark.parametrize("id", ["nobody's", "NUL \x00", ""])
def test_an_unknown_group_is_none(id: str) -> None:
    assert GroupResult.restore(id) is None
    assert GroupResult(id, [AsyncResult("unknown")]).ready() is False


@alone
def test_a_group_without_id_is_not_saved() -> None:
    with pytest.raises(
        ValueError, match=r"no id to be found by. Give it one: GroupResult\(django_tasks.uuid"
    ):
        GroupResult(None, []).save()


def test_a_handle_goes_through_json_and_back() -> None:
    first = AsyncResult[Any]("first")
    header = GroupResult("group", [AsyncResult("a"), AsyncResult("b")], parent=first)
    last = AsyncResult[Any]("last", parent=header)

    again = result_from_tuple(json.loads(json.dumps(last.as_tuple())))

    assert last.as_tuple() == (
        ("last", (("group", (("first", None), None)), [(("a", None), None), (("b", None), None)])),
        None,
    )
    assert (again, again.parent, last.as_list()) == (last, header, ["last", "group", "first"])
    assert result_from_tuple(["plain", None]) == AsyncResult("plain")
    assert result_from_tuple(header) is header
    assert repr(header) == "<GroupResult: group [a, b]>"
    assert header != GroupResult("group", [AsyncResult("a"), AsyncResult("b")])


# -- without a database


def eager(id: str, text: str, status: str = "SUCCESS") -> EagerResult[Any]:
    return EagerResult(Record(id=id, status=status, text=text), Facts())


def test_a_group_of_eager_results_needs_no_database() -> None:
    failed = eager(
        "c", '{"exc_type": "ValueError", "exc_module": "builtins", "exc_message": ["no"]}', "FAILURE"
    )
    group = GroupResult("eager", [eager("a", "1"), eager("b", "2")])

    assert (group.get(), group.ready(), group.successful(), group.completed_count()) == (
        [1, 2],
        True,
        True,
        2,
    )
    assert (list(group.iterate()), async_to_sync(group.aget)(), group.revoke()) == ([1, 2], [1, 2], 0)
    assert group.failed() is False
    group.forget()
    group.results.append(failed)
    with pytest.raises(ValueError, match="no"):
        group.get()


@alone
def test_where_results_are_disabled_a_group_says_so(send_group: SendGroup) -> None:
    group = send_group(2)

    with override_settings(DJANGO_TASKS={"RESULT_STORE": "disabled"}):
        for ask in (group.get, group.ready, group.completed_count):
            with pytest.raises(ResultsDisabled):
                ask()
