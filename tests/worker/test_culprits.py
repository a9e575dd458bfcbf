"""A message that makes admission fail in a way that nobody foresaw is found, and does not hold up the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError

from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker import consumer as consumers
from django_tasks.worker.board import Board
from django_tasks.worker.consumer import Consumer
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.process import TaskProcess
from tests.ledger.tasks import echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    options = WorkerOptions(queues=("default",), processes=1)
    seat = Board(1, options.threads, "w", coroutines=options.concurrency).seats[0]
    seat.take(1)
    made = TaskProcess(options=options, seat=seat).consumer
    made.intake.room = {True: 10, False: 10}
    made.queues = options.queues
    yield made
    assert made.receiver is not None
    made.receiver.close()


@pytest.fixture
def cursed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """Makes admission raise this whenever that task is among those received."""
    admit = consumers.admit

    def curse(id: str, error: Exception) -> None:
        def admit_or_fail(deliveries: Any, *rest: Any) -> Any:
            if any(delivery.envelope.headers["id"] == id for delivery in deliveries):
                raise error
            return admit(deliveries, *rest)

        monkeypatch.setattr(consumers, "admit", admit_or_fail)

    return curse


def receive(consumer: Consumer, times: int) -> int:
    """How often that failed."""
    failures = 0
    for _ in range(times):
        try:
            consumer.receive(10)
        except (LookupError, OperationalError):
            failures += 1
    return failures


def test_the_culprit_is_set_aside_and_the_others_are_claimed(consumer: Consumer, cursed: Any) -> None:
    sent = [echo.delay(number) for number in range(5)]
    cursed(sent[2].id, LookupError("nobody foresaw it"))

    assert receive(consumer, 8) == 2

    row = QueuedMessage.objects.get()
    assert row.state == QueuedMessage.State.ASIDE
    assert "nobody foresaw it" in row.reason
    assert TaskResult.objects.exclude(claimed_by=None).count() == 4
    assert not consumer.careful


def test_what_comes_in_its_place_is_not_taken_for_it(consumer: Consumer, cursed: Any) -> None:
    sent = echo.delay(1)
    cursed(sent.id, LookupError("nobody foresaw it"))
    assert receive(consumer, 1) == 1
    QueuedMessage.objects.all().delete()  # another process has received it

    innocent = echo.delay(2)
    assert receive(consumer, 1) == 0

    assert not QueuedMessage.objects.exists()
    assert TaskResult.objects.get(id=innocent.id).claimed_by


def test_the_database_being_away_is_no_message_s_fault(consumer: Consumer, cursed: Any) -> None:
    cursed(echo.delay(1).id, OperationalError("away"))

    assert receive(consumer, 5) == 5

    assert QueuedMessage.objects.get().state == QueuedMessage.State.READY
