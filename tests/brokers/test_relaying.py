"""Stored messages on their way to a broker of its own, when that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from django_tasks import clock
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import OperationalError
from django_tasks.models import QueuedMessage

from .arrivals import message

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_relay_that_fails_offers_only_what_is_still_its_own(
    use_broker: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_broker("memory://")
    now = clock.to_storage(clock.now())
    QueuedMessage.objects.create(queue="default", sent_at=now, payload="nonsense")
    broker().keep([message("taken over"), message("its own")])
    spoilt, taken, own = QueuedMessage.objects.order_by("id").values_list("id", flat=True)

    def fail(postings: Sequence[Posting]) -> None:
        QueuedMessage.objects.filter(id=taken).update(claimed_by="relay:another")
        raise OperationalError("The broker is away.")

    monkeypatch.setattr(broker(), "push", fail)

    with pytest.raises(OperationalError):
        broker().relay()

    rows = QueuedMessage.objects.in_bulk()
    assert (rows[spoilt].state, rows[own].state) == ("aside", "ready")
    assert (rows[taken].state, rows[taken].claimed_by) == ("claimed", "relay:another")
