"""From the queue to the ending: what a batch costs does not depend on how many are in it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.brokers.broker import Receiver
from django_tasks.brokers.handler import broker
from django_tasks.execution.outcome import Retried, Succeeded
from django_tasks.execution.settlement import hand_back, settle
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker.admission import admit
from tests.ledger.tasks import nothing

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("steady_statements")]


def claim(receiver: Receiver, many: int) -> list[Succeeded]:
    with receiver.receive(many) as deliveries:
        admitted = admit(deliveries, receiver, "w@h")
    now = clock.now()
    return [
        Succeeded(request=request, result="null", started_at=now, finished_at=now)
        for request in admitted.requests
    ]


@pytest.fixture
def doubled() -> int:
    """A task of which a second message waits in another queue: the key of that one."""
    nothing.delay()
    row = QueuedMessage.objects.get()
    row.pk, row.queue = None, "other"
    row.save(force_insert=True)
    return row.pk


def run_again(outcome: Succeeded, due: dt.datetime | None) -> None:
    request, now = outcome.request, clock.now()
    message = replace(request.message, retries=1, eta=due)
    times = {"started_at": now, "finished_at": now}
    settle([Retried(request=request, message=message, error="{}", traceback=None, **times)], "me")


def test_a_doubled_delivery_does_not_begin_the_next_run_before_its_time(doubled: int) -> None:
    (outcome,) = claim(broker().receiver(["default"], "me"), 1)
    run_again(outcome, clock.now() + dt.timedelta(hours=1))

    late = claim(broker().receiver(["other"], "you"), 10)

    assert late == []
    assert TaskResult.objects.get().claimed_by is None
    assert QueuedMessage.objects.get().state == QueuedMessage.State.PARKED


@pytest.mark.parametrize("hours", [-1, 1])
def test_of_two_messages_in_a_batch_that_of_the_later_run_counts(doubled: int, hours: int) -> None:
    receiver = broker().receiver(["default"], "me")
    (outcome,) = claim(receiver, 1)
    run_again(outcome, None)
    sent_at = clock.to_storage(clock.now() + dt.timedelta(hours=hours))
    QueuedMessage.objects.filter(pk=doubled).update(queue="default", sent_at=sent_at)

    (again,) = claim(receiver, 10)

    assert again.request.message.retries == 1
    assert not QueuedMessage.objects.exists()


def test_a_hundred_tasks_are_sent_by_as_many_statements_as_two() -> None:
    def statements(many: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            nothing.bulk([()] * many)
        return len(asked)

    statements(1)

    assert statements(100) == statements(2)


def test_a_batch_is_claimed_and_settled_by_as_many_statements_as_a_single_task() -> None:
    receiver = broker().receiver(["default"], "me")

    def statements(many: int) -> tuple[int, int]:
        nothing.bulk([()] * many)
        with CaptureQueriesContext(connection) as claiming:
            outcomes = claim(receiver, many)
        with CaptureQueriesContext(connection) as settling:
            settle(outcomes, "me")
        assert len(outcomes) == many
        return len(claiming), len(settling)

    statements(1)

    claiming, settling = statements(1)
    assert statements(50) == (claiming, settling)
    assert settling <= 2
    assert TaskResult.objects.filter(status="SUCCESS").count() == 52
    assert not QueuedMessage.objects.exists()


def test_claims_are_given_back_by_as_many_statements_for_fifty_as_for_five() -> None:
    receiver = broker().receiver(["default"], "me")

    def statements(many: int) -> int:
        nothing.bulk([()] * many)
        ids = [outcome.request.message.id for outcome in claim(receiver, many)]
        with CaptureQueriesContext(connection) as asked:
            assert hand_back(ids, "me") == many
        broker().purge("default")
        return len(asked)

    statements(1)

    assert statements(50) == statements(5)
