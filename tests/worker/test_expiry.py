"""Whether a task has expired is judged in the database's time."""

from __future__ import annotations

import datetime as dt

import pytest

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.worker.admission import Admitted, admit
from tests.endings import OWNER
from tests.ledger.tasks import note

pytestmark = pytest.mark.django_db


def admit_next() -> Admitted:
    receiver = broker().receiver(["default"], OWNER)
    with receiver.receive(1) as deliveries:
        return admit(deliveries, receiver, "worker@here")


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_worker_whose_clock_is_off_ends_nothing_that_has_not_expired(
    monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    sent = note.apply_async(expires=60)
    true_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: true_now() + dt.timedelta(minutes=minutes))

    admitted = admit_next()

    assert [request.message.id for request in admitted.requests] == [sent.id]
    assert not admitted.revoked


def test_a_worker_whose_clock_is_behind_runs_nothing_that_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = note.apply_async(expires=60)
    then = clock.now() + dt.timedelta(minutes=2)
    monkeypatch.setattr(clock, "database_now", lambda _: then)

    admitted = admit_next()

    assert [revoked.request.message.id for revoked in admitted.revoked] == [sent.id]
    assert not admitted.requests
