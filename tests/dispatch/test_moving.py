"""Moving: what waits in one queue waits in another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.brokers.remote import Remote
from django_tasks.dispatch import moving, purging
from django_tasks.exceptions import OperationalError, UnknownQueue
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.tasks import elsewhere, note, note_untracked
from tests.services import Server
from tests.workers import RunningWorker, status


def queues_of(*ids: str) -> set[str]:
    return set(TaskResult.objects.filter(id__in=ids).values_list("queue", flat=True))


@pytest.mark.django_db
def test_what_waits_is_moved_with_its_tasks_in_its_order() -> None:
    sent = [note.delay(1), note.apply_async((2,), priority=3), note.apply_async((3,), countdown=3600)]
    note_untracked.delay(4)
    before = list(QueuedMessage.objects.order_by("id").values_list("priority", "sent_at", "deliver_at"))

    assert moving.move("default", "other") == 4

    assert set(QueuedMessage.objects.values_list("queue", flat=True)) == {"other"}
    assert (
        list(QueuedMessage.objects.order_by("id").values_list("priority", "sent_at", "deliver_at")) == before
    )
    assert queues_of(*(result.id for result in sent)) == {"other"}


@pytest.mark.django_db
def test_what_is_claimed_set_aside_or_elsewhere_stays() -> None:
    claimed, other = note.delay(1), elsewhere.delay(2)
    TaskResult.objects.claim([claimed.id], "worker.1")
    QueuedMessage.objects.filter(queue="default").update(state="claimed", claimed_by="worker.1")
    note.delay(3)
    QueuedMessage.objects.filter(queue="default", state="ready").set_aside("spoilt")

    assert moving.move("default", "third") == 0

    assert queues_of(claimed.id) == {"default"}
    assert queues_of(other.id) == {"other"}


@pytest.mark.django_db
def test_it_stops_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "BATCH", 2)
    note.bulk([(number,) for number in range(7)])

    assert moving.move("default", "other", most=4) == 4
    assert QueuedMessage.objects.filter(queue="default").count() == 3


@pytest.mark.django_db
def test_a_message_that_cannot_be_read_is_moved_with_the_others() -> None:
    note.delay(1)
    QueuedMessage.objects.create(
        queue="default", sent_at=QueuedMessage.objects.get().sent_at, payload="spoilt"
    )

    assert moving.move("default", "other") == 2


@pytest.mark.django_db
def test_where_to_is_a_declared_queue_and_another_one() -> None:
    with pytest.raises(UnknownQueue, match="Did you mean 'other'"):
        moving.move("default", "othr")
    with pytest.raises(ValueError, match="itself"):
        moving.move("other", "other")


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_a_worker_of_the_other_queue_runs_what_was_moved(run_burst: Callable[..., RunningWorker]) -> None:
    sent = note.bulk([(number,) for number in range(3)])
    moving.move("default", "other")

    run_burst("--processes=1", "--queues=other")

    assert {status(result.id) for result in sent} == {"SUCCESS"}


@pytest.fixture
def remote(shared_server: Server, use_broker: Callable[[str], None]) -> Iterator[Server]:
    use_broker(shared_server.url)
    yield shared_server
    broker().pool().force_close_all()


@pytest.mark.worker
@pytest.mark.django_db(transaction=True)
def test_what_a_broker_of_its_own_has_is_moved_too(
    remote: Server, run_burst: Callable[..., RunningWorker]
) -> None:
    sent = [note.delay(1), note.delay(2), note.apply_async((3,), countdown=3600)]

    assert moving.move("default", "third") == 3

    assert (broker().size("default"), broker().size("third")) == (0, 2)
    assert queues_of(*(result.id for result in sent)) == {"third"}
    run_burst("--processes=1", "--queues=third")
    assert [status(result.id) for result in sent] == ["SUCCESS", "SUCCESS", "PENDING"]


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_the_broker_does_not_have_is_empty(remote: Server) -> None:
    assert moving.move("default", "third") == 0


@pytest.mark.django_db(transaction=True)
def test_one_connection_is_enough_to_move(remote: Server, settings: Any) -> None:
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "BROKER_POOL_LIMIT": 1}
    note.delay(1)

    assert moving.move("default", "third") == 1

    assert (broker().size("default"), broker().size("third")) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_what_was_moved_before_an_error_is_moved_with_its_tasks(
    remote: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, left = note.delay(1), note.delay(2)
    publish, calls = Remote._publish, itertools.count()

    def fail_later(self: Remote, channel: Any, postings: Sequence[Posting]) -> None:
        if next(calls):
            raise ConnectionResetError("It has gone.")
        publish(self, channel, postings)

    monkeypatch.setattr(Remote, "_publish", fail_later)

    with pytest.raises(OperationalError, match="It has gone"):
        moving.move("default", "third")

    assert (queues_of(moved.id), queues_of(left.id)) == ({"third"}, {"default"})


@pytest.mark.django_db
def test_what_was_set_aside_is_discarded_and_its_task_ends() -> None:
    aside, ready = note.delay(1), note.delay(2)
    first, second = QueuedMessage.objects.order_by("id")
    QueuedMessage.objects.filter(id=first.id).set_aside("spoilt")

    assert purging.discard([first.id, second.id]) == 1

    assert (status(aside.id), status(ready.id)) == ("REVOKED", "PENDING")
    assert QueuedMessage.objects.get().id == second.id


@pytest.mark.django_db
def test_a_purge_may_stop_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    note.bulk([(number,) for number in range(5)])

    assert purging.purge("default", most=3) == 4
    assert TaskResult.objects.waiting().count() == 1
