"""From the queue to the ending: what a batch costs does not depend on how many are in it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.brokers.broker import Receiver, broker
from django_tasks.execution.outcome import Succeeded
from django_tasks.execution.settlement import hand_back, settle
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker.admission import admit
from tests.ledger.tasks import nothing

pytestmark = pytest.mark.django_db


def claim(receiver: Receiver, many: int) -> list[Succeeded]:
    with receiver.receive(many) as deliveries:
        admitted = admit(deliveries, receiver, "w@h")
    now = clock.now()
    return [
        Succeeded(request=request, result="null", started_at=now, finished_at=now)
        for request in admitted.requests
    ]


def test_a_batch_is_claimed_and_settled_by_as_many_statements_as_a_single_task() -> None:
    receiver = Receiver(broker(), ["default"], "me")

    def statements(many: int) -> tuple[int, int]:
        nothing.bulk([()] * many)
        with CaptureQueriesContext(connection) as claiming:
            outcomes = claim(receiver, many)
        with CaptureQueriesContext(connection) as settling:
            settle(outcomes, "me")
        assert len(outcomes) == many
        return len(claiming), len(settling)

    statements(1)

    assert statements(50) == statements(1)
    assert TaskResult.objects.filter(status="SUCCESS").count() == 52
    assert not QueuedMessage.objects.exists()


def test_claims_are_given_back_by_as_many_statements_for_fifty_as_for_five() -> None:
    receiver = Receiver(broker(), ["default"], "me")

    def statements(many: int) -> int:
        nothing.bulk([()] * many)
        ids = [outcome.request.message.id for outcome in claim(receiver, many)]
        with CaptureQueriesContext(connection) as asked:
            assert hand_back(ids, "me") == many
        broker().purge("default")
        return len(asked)

    statements(1)

    assert statements(50) == statements(5)
