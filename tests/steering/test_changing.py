"""Changing when a task runs, and where it waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import pytest

from django_tasks import clock
from django_tasks.brokers import payload
from django_tasks.exceptions import UnknownQueue
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.steering import bulk, changing
from django_tasks.steering.changing import change, moved, rescheduled
from django_tasks.steering.selection import Selection
from tests.endings import OWNER, in_queues
from tests.ledger.tasks import elsewhere, note

pytestmark = pytest.mark.django_db

TOMORROW = dt.datetime(2100, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def reschedule(ids: Collection[str], due: dt.datetime | None) -> int:
    return change(ids, rescheduled(due))


def move(ids: Collection[str], queue: str | None, priority: int | None) -> int:
    return change(ids, moved(queue, priority))


def only_message() -> QueuedMessage:
    return QueuedMessage.objects.get()


def test_what_is_due_later_can_be_run_now() -> None:
    sent = note.apply_async((1,), countdown=3600)

    assert reschedule([sent.id], None) == 1

    assert (only_message().state, only_message().deliver_at) == ("ready", None)
    (message,) = in_queues()
    assert (message.id, message.eta) == (sent.id, None)
    order = TaskResult.objects.get().order()
    assert order is not None
    assert order.eta is None


@pytest.mark.parametrize("countdown", [None, 3600])
def test_what_waits_can_be_put_off(countdown: float | None) -> None:
    sent = note.apply_async((1,), countdown=countdown)

    assert reschedule([sent.id], TOMORROW) == 1

    assert only_message().state == "parked"
    assert clock.from_storage(only_message().deliver_at) == TOMORROW
    (message,) = in_queues()
    assert (message.id, message.eta) == (sent.id, TOMORROW)


def test_it_can_be_done_again_and_again() -> None:
    sent = note.delay(1)

    for due in (TOMORROW, None, TOMORROW, TOMORROW):
        assert reschedule([sent.id], due) == 1

    assert len(in_queues()) == 1


def test_another_queue_and_another_priority() -> None:
    sent = note.delay(1)
    elsewhere.delay(2)
    other = TaskResult.objects.exclude(id=sent.id).get()

    assert move([sent.id], other.queue, 9) == 1

    row = TaskResult.objects.get(id=sent.id)
    assert (row.queue, row.priority) == (other.queue, 9)
    message = QueuedMessage.objects.get(priority=9)
    assert (message.queue, in_queues()[-1].id) == (other.queue, sent.id)
    assert QueuedMessage.objects.count() == 2


def test_a_moved_task_keeps_the_place_of_its_age() -> None:
    sent = note.delay(1)
    before = only_message().sent_at

    move([sent.id], None, 3)

    assert only_message().sent_at == before


def test_an_unknown_queue_is_refused() -> None:
    sent = note.delay(1)

    with pytest.raises(UnknownQueue):
        move([sent.id], "no such queue", None)
    assert in_queues()[0].id == sent.id


def test_what_runs_or_has_ended_is_left_alone() -> None:
    running, ended = note.delay(1), note.delay(2)
    TaskResult.objects.claim([running.id], OWNER)
    ended.revoke()

    assert reschedule([running.id, ended.id, "unknown"], TOMORROW) == 0
    assert {row.state for row in QueuedMessage.objects.all()} == {"ready"}


def test_what_is_with_a_broker_elsewhere_cannot_be_called_back() -> None:
    sent = note.delay(1)
    QueuedMessage.objects.all().delete()

    assert reschedule([sent.id], TOMORROW) == 0
    assert TaskResult.objects.get().order() is not None


def test_what_its_sender_is_about_to_publish_is_left_to_it() -> None:
    sent = note.apply_async((1,), countdown=10)
    QueuedMessage.objects.update(claimed_by="sender:0")

    assert reschedule([sent.id], TOMORROW) == 0
    assert bulk.do_to_all("run_now", Selection.shown({}), {}, "seed")[0] == 0


def test_a_message_for_a_task_that_no_row_can_have_keeps_no_other_from_being_changed() -> None:
    """PostgreSQL refuses NUL wherever it is asked for it."""
    sent = note.apply_async((1,), countdown=3600)
    stored = only_message()
    stored.pk, stored.payload = None, stored.payload.replace(sent.id, "NUL\\u0000")
    stored.save()

    assert bulk.do_to_all("run_now", Selection.shown({}), {}, "seed")[0] == 1


def test_a_message_that_is_not_where_it_should_be_is_found_all_the_same() -> None:
    sent = note.delay(1)
    QueuedMessage.objects.update(sent_at=clock.to_storage(TOMORROW))

    assert reschedule([sent.id], None) == 1
    assert len(in_queues()) == 1


def test_all_that_were_chosen_are_changed_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "BATCH", 3)
    chosen = {sent.id for sent in note.bulk([(number,) for number in range(8)], countdown=3600)}
    elsewhere.delay(2)
    running = note.delay(3)
    TaskResult.objects.claim([running.id], OWNER)
    QueuedMessage.objects.create(queue="default", sent_at=clock.now(), payload="spoilt")
    everything = Selection.shown({"task": note.name})

    done = bulk.do_to_all("reschedule", everything, {"due": TOMORROW.isoformat()}, "seed")

    assert done == (8, 8)
    parked = QueuedMessage.objects.filter(state="parked", deliver_at=clock.to_storage(TOMORROW))
    assert {payload.task_of(message, message.payload) for message in parked} == chosen
    assert QueuedMessage.objects.count() == 11


def test_which_ones_are_meant_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "BATCH", 1)
    note.bulk([(number,) for number in range(3)], countdown=3600)
    asked: list[str] = []
    rows = Selection.rows
    monkeypatch.setattr(Selection, "rows", lambda self: asked.append("rows") or rows(self))

    done = bulk.do_to_all("run_now", Selection.shown({"task": note.name}), {}, "seed")

    assert (done, asked) == ((3, 3), ["rows"])
