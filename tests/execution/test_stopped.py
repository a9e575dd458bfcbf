"""A task that somebody stopped after its claim and before its body began ends like any other (FEATURES RES-12)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from django_tasks import clock, signals
from django_tasks.exceptions import TaskRevokedError
from django_tasks.execution import settlement
from django_tasks.execution.outcome import Rejected, Request
from django_tasks.execution.settlement import hand_back, settle
from django_tasks.execution.telling import tell_of_failure
from django_tasks.message.message import TaskMessage
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.results.async_result import AsyncResult
from django_tasks.results.store import Record
from tests.ledger.tasks import note

OWNER = "worker.1"
TOLD = "django_tasks.tell_of_failure"


@pytest.fixture
def stopped(db: None) -> AsyncResult[Any]:
    """Claimed, then terminated."""
    sent = note.delay(1)
    TaskResult.objects.claim([sent.id], OWNER)
    QueuedMessage.objects.all().delete()
    assert not sent.revoke(terminate=True)
    return sent


@pytest.fixture
def told() -> Iterator[list[dict[str, Any]]]:
    """What `task_revoked` says."""
    heard: list[dict[str, Any]] = []

    def hear(sender: object, **about: Any) -> None:
        heard.append({"sender": sender, **about})

    signals.task_revoked.connect(hear)
    yield heard
    signals.task_revoked.disconnect(hear)


def orders() -> list[QueuedMessage]:
    return [row for row in QueuedMessage.objects.all() if TOLD in row.payload]


@pytest.mark.usefixtures("told")
def test_it_is_revoked_when_given_back_and_to_be_told_of(stopped: AsyncResult[Any]) -> None:
    assert hand_back([stopped.id], OWNER) == 1

    with pytest.raises(TaskRevokedError, match="terminated"):
        stopped.get(timeout=1)
    row = TaskResult.objects.get(id=stopped.id)
    assert (row.status, row.claimed_by, row.finished_at is not None) == ("REVOKED", None, True)
    assert len(orders()) == QueuedMessage.objects.count() == 1


def test_what_is_told_is_what_is_told_of_any_that_was_terminated(
    stopped: AsyncResult[Any], told: list[dict[str, Any]]
) -> None:
    hand_back([stopped.id], OWNER)

    tell_of_failure(stopped.id)

    (heard,) = told
    assert (heard["request"].id, heard["sender"].name) == (stopped.id, note.name)
    assert (heard["terminated"], heard["expired"]) == (True, False)


def test_without_anybody_to_be_told_there_is_no_order_but_a_line_in_the_log(
    stopped: AsyncResult[Any], caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        hand_back([stopped.id], OWNER)

    assert not QueuedMessage.objects.exists()
    lines = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.message for line in lines] == [
        f"Task {note.name}[{stopped.id}] revoked: terminated before it could run"
    ]


@pytest.mark.usefixtures("told")
def test_one_that_asked_to_go_back_to_its_queue_is_stopped_as_well(stopped: AsyncResult[Any]) -> None:
    request = Request(message=TaskMessage(id=stopped.id, task=note.name), worker="worker@here")

    settle([Rejected(request=request)], OWNER)

    assert stopped.state == "REVOKED"
    assert len(orders()) == QueuedMessage.objects.count() == 1


def test_the_store_is_told_of_its_end(stopped: AsyncResult[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Record] = []
    monkeypatch.setattr(settlement, "put", lambda endings, stores: kept.extend(endings))
    with override_settings(DJANGO_TASKS={"RESULT_STORE": "cache"}):
        hand_back([stopped.id], OWNER)

    (record,) = kept
    assert (record.id, record.status) == (stopped.id, "REVOKED")
    assert record.finished_at is not None
    assert record.finished_at <= clock.now()


def test_its_neighbours_go_back_and_others_are_left_alone(stopped: AsyncResult[Any]) -> None:
    neighbour, other = note.delay(2), note.delay(3)
    TaskResult.objects.claim([neighbour.id], OWNER)
    TaskResult.objects.claim([other.id], "worker.2")
    QueuedMessage.objects.all().delete()

    assert hand_back([stopped.id, neighbour.id, other.id], OWNER) == 2

    assert QueuedMessage.objects.count() == 1
    states = {row.id: (row.status, row.claimed_by) for row in TaskResult.objects.all()}
    assert states == {
        stopped.id: ("REVOKED", None),
        neighbour.id: ("PENDING", None),
        other.id: ("PENDING", "worker.2"),
    }
