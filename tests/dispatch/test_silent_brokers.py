"""A broker that takes connections and says nothing is waited for once, not once per try."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from django_tasks.exceptions import OperationalError
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.tasks import note, note_untracked
from tests.proxy import through_proxy
from tests.services import Server

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_tracked_task_waits_in_the_outbox_after_one_silence(
    shared_server: Server, use_broker: Callable[[str], None]
) -> None:
    with through_proxy(shared_server.url) as network:
        use_broker(network.url(shared_server.url))
        note.delay()
        accepted = network.accepted
        network.hold()

        over_used = note.delay()
        tried_then = network.accepted - accepted
        over_new = note.delay()
        tried_since = network.accepted - accepted - tried_then

    assert (tried_then, tried_since) == (0, 1)
    assert QueuedMessage.objects.count() == 2
    assert TaskResult.objects.waiting().filter(id__in=[over_used.id, over_new.id]).count() == 2


def test_an_untracked_task_is_refused_after_one_silence(
    shared_server: Server, use_broker: Callable[[str], None]
) -> None:
    with through_proxy(shared_server.url) as network:
        use_broker(network.url(shared_server.url))
        network.hold()

        with pytest.raises(OperationalError, match="cannot be reached"):
            note_untracked.delay()

        assert network.accepted == 1
    assert not QueuedMessage.objects.exists()
