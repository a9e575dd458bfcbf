"""Two processes at once over the same group, callback or task: whoever comes second waits, and nothing is doubled.

Each is a thread with its own connection, and the order of their steps is fixed: the first one has done everything but
its commit when the second one begins, and commits when that one is about to wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from django_tasks import AsyncResult, chord
from django_tasks.exceptions import ChordError, DuplicateTaskId
from django_tasks.execution.outcome import Outcome
from django_tasks.execution.settlement import settle
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskGroup, TaskResult
from django_tasks.models.group import TaskGroupQuerySet
from django_tasks.models.result import TaskResultQuerySet
from tests.endings import claimed, failed, in_queues, succeeded, untracked
from tests.ledger.tasks import add, collect, constant, forget_value, note_value, total
from tests.threads import Errand
from tests.workers import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

FIRST, SECOND = "worker.1", "worker.2"
#: An id like those that are generated.
OURS = "01a1f972-9d65-7b5e-b4da-c56de0808c4d"


@contextmanager
def first(call: Callable[[], object]) -> Iterator[None]:
    """Has `call` done, and its transaction open until the end of the block."""
    is_done, may_commit = threading.Event(), threading.Event()

    def run() -> None:
        with transaction.atomic():
            call()
            is_done.set()
            assert may_commit.wait(PATIENCE)

    errand = Errand(run)
    while not is_done.wait(0.01):
        assert errand.thread.is_alive(), errand.result()
    try:
        yield
    finally:
        may_commit.set()
    errand.result()


def second(call: Callable[[], Any], kind: type, before: str, monkeypatch: pytest.MonkeyPatch) -> Errand[Any]:
    """Begins `call`, and is back when it is about to call that method, where it has to wait for the first one."""
    is_there = threading.Event()
    method = getattr(kind, before)

    def announced(*args: Any) -> Any:
        is_there.set()
        return method(*args)

    monkeypatch.setattr(kind, before, announced)
    errand = Errand(call)
    # On SQLite it waits much earlier: at its first statement that writes.
    if connection.vendor != "sqlite":
        while not is_there.wait(0.01):
            assert errand.thread.is_alive(), errand.result()
    return errand


def settled(owner: str, *outcomes: Outcome) -> Callable[[], object]:
    return lambda: settle(outcomes, owner)


def test_can_11_the_last_two_members_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    one, two = (claimed(m.id, owner) for m, owner in zip(sent.parent.results, (FIRST, SECOND), strict=True))

    with first(settled(FIRST, succeeded(one, 1))):
        errand = second(settled(SECOND, succeeded(two, 2)), TaskGroupQuerySet, "tally", monkeypatch)
    errand.result()

    assert [message.args for message in in_queues(collect.name)] == [([1, 2],)]
    assert TaskGroup.objects.get().pending == 0


def test_can_11_one_member_fails_while_the_last_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    one, two = (claimed(m.id, owner) for m, owner in zip(sent.parent.results, (FIRST, SECOND), strict=True))

    with first(settled(FIRST, failed(one, ValueError("bang")))):
        errand = second(settled(SECOND, succeeded(two, 2)), TaskGroupQuerySet, "tally", monkeypatch)
    errand.result()

    with pytest.raises(ChordError, match="bang"):
        sent.get(timeout=0)
    assert in_queues(collect.name) == []


def test_a_member_is_revoked_while_the_last_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    waits, runs = sent.parent.results
    request = claimed(runs.id, SECOND)

    with first(lambda: waits.revoke()):
        errand = second(settled(SECOND, succeeded(request, 2)), TaskGroupQuerySet, "tally", monkeypatch)
    errand.result()

    assert sent.state == "FAILURE"
    assert TaskGroup.objects.get().pending == 0


def test_a_member_is_revoked_while_it_is_claimed() -> None:
    """It has one end, and is counted once."""
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    member = sent.parent.results[0]

    with first(lambda: member.revoke()):
        errand = Errand(lambda: TaskResult.objects.claim([member.id], SECOND))

    assert errand.result() == set()
    assert member.state == "REVOKED"
    assert TaskGroup.objects.get().pending == 1


def test_a_member_ends_while_it_is_revoked() -> None:
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    member = sent.parent.results[0]
    request = claimed(member.id, FIRST)

    with first(settled(FIRST, succeeded(request, 1))):
        errand = Errand(lambda: AsyncResult(member.id).revoke(terminate=True))

    assert errand.result() is False
    assert member.state == "SUCCESS"
    assert TaskGroup.objects.get().pending == 1


def test_a_member_that_two_processes_end_is_counted_once() -> None:
    """Somebody took it for dead, and rescued it twice."""
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    request = claimed(sent.parent.results[0].id, FIRST)

    with first(settled(FIRST, failed(request, ValueError("lost")))):
        errand = Errand(settled(FIRST, failed(request, ValueError("lost again"))))

    assert errand.result() == []
    assert TaskGroup.objects.get().pending == 1


@pytest.mark.parametrize("id", ["the one", OURS])
def test_one_callback_of_two_tasks_is_sent_once(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sees the row that the other one makes; who comes second does it again, as a worker does."""
    callback = note_value.s().set(task_id=id)
    sent = [add.apply_async((1, 1), link=callback) for _ in range(2)]
    one, two = (claimed(result.id, owner) for result, owner in zip(sent, (FIRST, SECOND), strict=True))
    ends = settled(SECOND, succeeded(two, 4))

    with first(settled(FIRST, succeeded(one, 2))):
        errand = second(ends, TaskResultQuerySet, "insert", monkeypatch)
    settled_at_last(errand, ends)

    assert [result.state for result in sent] == ["SUCCESS"] * 2
    assert [message.id for message in in_queues(note_value.name)] == [id]


def settled_at_last(errand: Errand[Any], again: Callable[[], object]) -> None:
    try:
        errand.result()
    except DuplicateTaskId:
        assert connection.vendor != "sqlite"  # there it saw the row
        again()


def test_two_that_lock_each_other_out_come_to_the_same_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has an outer group and then wants that of the other one, whose inner chord has failed.

    The database lets one of them fail, and a worker settles again what it could not.
    """
    workflows: list[Any] = []
    for _ in range(2):
        inner = chord([constant.s(1)], total.s())
        workflows.append(chord([inner, constant.s(2)], collect.s()).apply_async())
    inside, outside = ([row.id for row in rows_of(args)] for args in ("(1,)", "(2,)"))
    broken = [
        failed(claimed(inside[at], owner), ValueError("bang")) for at, owner in ((0, FIRST), (1, SECOND))
    ]
    whole = [succeeded(claimed(outside[at], owner), 2) for at, owner in ((1, FIRST), (0, SECOND))]
    meet_after_first_tally(monkeypatch)

    fell = 0
    errands = {
        owner: Errand(settled(owner, *ends))
        for owner, *ends in zip((FIRST, SECOND), broken, whole, strict=True)
    }
    for errand in errands.values():
        try:
            errand.result()
        except OperationalError:
            fell += 1
    for owner, *ends in zip((FIRST, SECOND), broken, whole, strict=True):
        settle(ends, owner)

    assert fell == (0 if connection.vendor == "sqlite" else 1)
    assert [workflow.state for workflow in workflows] == ["FAILURE", "FAILURE"]
    assert {(row.total - row.pending, row.failed) for row in TaskGroup.objects.all()} == {(1, 1), (2, 1)}


def rows_of(args: str) -> list[TaskResult]:
    return list(TaskResult.objects.filter(task=constant.name, args=args).order_by("created_at", "id"))


def meet_after_first_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        return  # whoever writes is alone
    both = threading.Barrier(2, timeout=PATIENCE)
    has_met = threading.local()
    tally = TaskGroupQuerySet.tally

    def meet(groups: TaskGroupQuerySet, ended: Any) -> list[TaskGroup]:
        found = tally(groups, ended)
        if threading.current_thread() is not threading.main_thread() and not hasattr(has_met, "once"):
            has_met.once = True
            both.wait()
        return found

    monkeypatch.setattr(TaskGroupQuerySet, "tally", meet)


def test_an_untracked_task_that_runs_twice_sends_its_next_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = TaskMessage(
        id="again",
        task=forget_value.name,
        chain=(note_value.s().set(task_id=OURS),),
        ignore_result=True,
    )

    with first(settled(FIRST, succeeded(untracked(message), 1))):
        again = settled(SECOND, succeeded(untracked(message), 1))
        errand = second(again, TaskResultQuerySet, "insert", monkeypatch)
    settled_at_last(errand, again)

    assert len(in_queues(note_value.name)) == 1
