"""Purging: what waits in a queue is thrown away, and nobody is left waiting for it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from django_tasks import app, chain, chord
from django_tasks.dispatch import purging
from django_tasks.exceptions import ChordError, TaskRevokedError, UnknownQueue
from django_tasks.models import QueuedMessage, TaskResult
from tests.endings import in_queues, succeed
from tests.ledger.tasks import add, constant, elsewhere, note, note_untracked, on_error_id, total

pytestmark = pytest.mark.django_db


def test_what_waits_in_a_queue_is_thrown_away_and_its_tasks_end() -> None:
    sent = note.bulk([(number,) for number in range(3)])
    note_untracked.delay(4)

    assert app.control.purge("default") == 4

    assert not QueuedMessage.objects.exists()
    for result in sent:
        with pytest.raises(TaskRevokedError, match="purged"):
            result.get(timeout=0)


def test_batch_after_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "BATCH", 2)
    note.bulk([(number,) for number in range(5)])

    assert app.control.discard_all() == 5
    assert not TaskResult.objects.waiting().exists()


def test_what_is_due_later_or_elsewhere_or_set_aside_or_claimed_stays() -> None:
    later = note.apply_async((1,), countdown=3600)
    other = elsewhere.delay(2)
    claimed = note.delay(3)
    TaskResult.objects.claim([claimed.id], "worker.1")
    QueuedMessage.objects.create(
        queue="default", state="aside", sent_at=QueuedMessage.objects.all()[0].sent_at, payload="spoilt"
    )

    assert app.control.purge("default") == 1

    assert {later.state, other.state, claimed.state} == {"PENDING"}
    assert sorted(QueuedMessage.objects.values_list("state", flat=True)) == ["aside", "parked", "ready"]


def test_all_queues_are_purged_if_none_is_named() -> None:
    note.delay(1)
    elsewhere.delay(2)

    assert app.control.purge() == 2
    assert app.control.purge() == 0


def test_a_message_that_cannot_be_read_is_thrown_away_with_the_others() -> None:
    note.delay(1)
    QueuedMessage.objects.create(
        queue="default", sent_at=QueuedMessage.objects.get().sent_at, payload="spoilt"
    )

    assert app.control.purge("default") == 2
    assert not QueuedMessage.objects.exists()


def test_a_chord_one_member_of_which_is_purged_ends_and_its_error_callback_is_told() -> None:
    body = total.s().set(link_error=on_error_id.s())
    sent: Any = chord([constant.s(1), elsewhere.s(2)], body).apply_async()
    succeed(sent.parent.results[1].id, 2)

    assert app.control.purge("default") == 1

    with pytest.raises(ChordError, match="purged"):
        sent.get(timeout=0)
    # Sent because of the purge, and so not purged.
    assert [message.task for message in in_queues()] == [elsewhere.name, on_error_id.name]


def test_the_rest_of_a_chain_ends_with_its_first_step() -> None:
    sent: Any = chain(add.s(1, 1), add.s(2)).apply_async()

    app.control.purge()

    assert (sent.parent.state, sent.state) == ("REVOKED", "REVOKED")


def test_a_queue_that_is_not_declared_is_refused() -> None:
    with pytest.raises(UnknownQueue):
        app.control.purge("othr")


class Remote:
    """A broker whose messages are elsewhere; what is parked for it is stored here."""

    is_embedded = False
    alias = "default"

    def purge(self, queue: str) -> int:
        # What is sent while a queue is being purged has lost its message, and is found by its row.
        self.late = note.delay(9)
        purged: int = QueuedMessage.objects.ready().filter(queue=queue).delete()[0]
        return purged


def test_on_a_remote_broker_the_rows_that_wait_end_once_their_messages_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote = Remote()
    waiting, later, other, claimed = (
        note.delay(1),
        note.apply_async((2,), countdown=3600),
        elsewhere.delay(3),
        note.delay(4),
    )
    TaskResult.objects.claim([claimed.id], "worker.1")
    # As the broker has them: not stored here.
    QueuedMessage.objects.ready().delete()
    monkeypatch.setattr(purging, "broker", lambda: remote)

    assert app.control.purge("default") == 1

    assert waiting.state == "REVOKED"
    assert {later.state, other.state, claimed.state, remote.late.state} == {"PENDING"}


def test_of_what_is_stored_for_a_remote_broker_only_some_is_read_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not every driver hands over an answer bit by bit."""
    note.bulk([(number,) for number in range(5)], countdown=3600)
    monkeypatch.setattr(purging, "broker", Remote)
    monkeypatch.setattr(purging, "BATCH", 2)

    with CaptureQueriesContext(connection) as asked:
        purging.purge("default")

    assert sum("payload" in query["sql"] for query in asked if query["sql"].startswith("SELECT")) == 3
    assert QueuedMessage.objects.filter(state="parked").count() == 5


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others lock rows")
def test_discarding_begins_with_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite: a transaction that reads first cannot wait for another writer when it comes to write."""
    note.delay(1)
    QueuedMessage.objects.all().set_aside("spoilt")
    monkeypatch.setattr(connections["default"], "transaction_mode", "DEFERRED")

    with CaptureQueriesContext(connection) as asked:
        assert purging.discard(QueuedMessage.objects.values_list("id", flat=True)) == 1

    begin = next(n for n, query in enumerate(asked) if "SAVEPOINT" in query["sql"])
    assert asked[begin + 1]["sql"].startswith("UPDATE")
