"""Sending a task again: as a task of its own, once for each time it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_tasks import chain, chord, states
from django_tasks.execution.settlement import settle
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.steering.again import RETRY_OF, send_again, send_changed
from tests.endings import OWNER, claimed, failed, in_queues, succeed
from tests.ledger.tasks import add, constant, note, total

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def ended(id: str, status: str = states.FAILURE) -> TaskResult:
    """The row of a task that was sent, as it is once it has ended, with no message left."""
    QueuedMessage.objects.all().delete()
    TaskResult.objects.filter(id=id).update(status=status)
    return TaskResult.objects.get(id=id)


def fail(id: str) -> None:
    settle([failed(claimed(id), ValueError("no"))], OWNER)


@pytest.mark.parametrize("status", [states.FAILURE, states.SUCCESS, states.REVOKED])
def test_what_has_ended_is_sent_again_as_a_task_of_its_own(status: str) -> None:
    row = ended(add.apply_async((1, 2), priority=7).id, status)

    assert send_again([row.id], "seed") == 1

    (new,) = in_queues()
    assert (new.id != row.id, new.task, new.priority, tuple(new.args)) == (True, row.task, 7, (1, 2))
    assert (new.parent_id, new.root_id, new.headers[RETRY_OF]) == (row.id, row.root_id, row.id)
    assert TaskResult.objects.get(id=row.id).status == status
    assert TaskResult.objects.get(id=new.id).status == states.PENDING


def test_what_waits_or_runs_is_left_alone() -> None:
    waiting, running = note.delay(1), note.delay(2)
    TaskResult.objects.claim([running.id], OWNER)

    assert send_again([waiting.id, running.id, "unknown"], "seed") == 0
    assert TaskResult.objects.count() == 2


def test_with_the_same_seed_nothing_is_sent_twice() -> None:
    row = ended(note.delay(1).id)

    assert [send_again([row.id], "once"), send_again([row.id], "once")] == [1, 1]
    assert len(in_queues()) == 1
    assert send_again([row.id], "another time") == 1
    assert len(in_queues()) == 2


def test_what_was_to_come_after_it_comes_after_the_new_one() -> None:
    result = chain(add.s(1, 2), add.s(10)).delay()
    assert result.parent is not None
    fail(result.parent.id)
    QueuedMessage.objects.all().delete()

    send_again([result.parent.id], "seed")
    (first,) = in_queues()
    succeed(first.id, 3)

    second = next(message for message in in_queues() if message.id != first.id)
    assert (second.task, list(second.args)) == (add.name, [3, 10])
    assert second.id != result.id


def test_a_member_of_a_group_is_sent_again_on_its_own() -> None:
    result = chord([constant.s(1), constant.s(2)], total.s()).delay()
    assert result.parent is not None
    member, other = result.parent.results
    fail(member.id)

    send_again([member.id], "seed")

    again = next(message for message in in_queues() if message.id not in (member.id, other.id))
    assert (again.group, again.chord) == (None, None)


def test_a_message_that_nobody_signed_is_not_signed_by_sending_it_again(settings: Settings) -> None:
    row = ended(note.delay(1).id)
    settings.DJANGO_TASKS = {"MESSAGE_SIGNING": True}

    assert send_again([row.id], "seed") == 0


def test_a_message_that_cannot_be_read_is_left_alone() -> None:
    row = ended(note.delay(1).id)
    TaskResult.objects.update(message="spoilt")

    assert send_again([row.id], "seed") == 0


def test_other_arguments_are_sent_and_shown() -> None:
    row = ended(add.delay(1, 2).id)

    id = send_changed(row, [1], {"y": 5})

    (new,) = in_queues()
    assert (new.id, list(new.args), dict(new.kwargs)) == (id, [1], {"y": 5})
    assert TaskResult.objects.get(id=id).kwargs == "{'y': 5}"


def test_arguments_that_the_task_cannot_take_are_refused() -> None:
    row = ended(add.delay(1, 2).id)

    with pytest.raises(TypeError, match="cannot be called so"):
        send_changed(row, [1, 2, 3, 4], {})
    assert in_queues() == []
