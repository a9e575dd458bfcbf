"""How full the queues are (FEATURES WRK-07)."""

from __future__ import annotations

import datetime as dt

import pytest

from django_tasks import app, clock
from django_tasks.dispatch.depths import Depth, depths
from django_tasks.models import QueuedMessage, TaskResult, Worker, standing
from tests.ledger.tasks import elsewhere, note

pytestmark = pytest.mark.django_db


def depth_of(queue: str) -> Depth:
    (found,) = (depth for depth in depths() if depth.queue == queue)
    return found


def serve(name: str, queues: str, **lease: float) -> None:
    now = clock.to_storage(clock.now())
    Worker.objects.create(
        id=name, name=name, hostname="h", pid=1, queues=queues, processes=1, threads=1, version="1",
        started_at=now, lease_until=now + dt.timedelta(**lease),
    )  # fmt: skip


def test_wrk_07_every_declared_queue_is_listed_the_default_one_first() -> None:
    assert [(depth.queue, depth.ready) for depth in depths()] == [("default", 0), ("other", 0), ("third", 0)]


def test_wrk_07_what_is_ready_due_later_claimed_and_set_aside_is_counted_apart() -> None:
    note.bulk([(number,) for number in range(3)])
    note.apply_async((4,), countdown=3600)
    claimed = note.delay(5)
    TaskResult.objects.claim([claimed.id], "worker.1")
    QueuedMessage.objects.ready().order_by("-id")[:1].get().delete()
    elsewhere.delay(6)
    QueuedMessage.objects.filter(queue="other").set_aside("spoilt")

    default, other = depth_of("default"), depth_of("other")

    assert (default.ready, default.parked, default.running, default.aside) == (3, 1, 1, 0)
    assert (other.ready, other.parked, other.running, other.aside) == (0, 0, 0, 1)


def test_living_workers_are_named_with_the_queues_they_serve() -> None:
    serve("one@h", "default, other", hours=1)
    serve("two@h", "default", hours=1)
    serve("dead@h", "default", hours=-1)

    assert depth_of("default").workers == ("one@h", "two@h")
    assert depth_of("other").workers == ("one@h",)
    assert depth_of("third").workers == ()


def test_a_pause_is_shown_with_its_reason() -> None:
    app.control.pause_queue("other", "repairs")

    assert (depth_of("other").is_paused, depth_of("other").reason) == (True, "repairs")
    assert not depth_of("default").is_paused


def test_what_is_left_in_a_queue_that_is_no_longer_declared_is_shown() -> None:
    note.delay(1)
    QueuedMessage.objects.update(queue="renamed")

    assert depth_of("renamed").ready == 1
    assert not depth_of("renamed").is_declared


def test_since_when_the_oldest_has_waited_whatever_its_priority() -> None:
    now = clock.now().replace(microsecond=123456)
    for priority, minutes in ((0, 1), (9, 7), (5, 3)):
        sent = clock.to_storage(now - dt.timedelta(minutes=minutes))
        QueuedMessage.objects.create(queue="other", priority=priority, sent_at=sent, payload="{}")

    assert depth_of("other").oldest == now - dt.timedelta(minutes=7)
    assert depth_of("default").oldest is None


def test_who_looks_often_counts_no_further_than_wanted() -> None:
    note.bulk([(number,) for number in range(5)])

    assert {depth.queue: str(depth.ready) for depth in depths(most=3)} == {
        "default": "3+",
        "other": "0",
        "third": "0",
    }


def test_what_has_begun_is_told_apart_and_what_can_run_at_a_time_is_added_up() -> None:
    serve("one@h", "default, other", hours=1)
    serve("two@h", "default", hours=1)
    now = clock.to_storage(clock.now())
    for started in (now, None):
        TaskResult.objects.filter(id=note.delay(1).id).update(claimed_by="w.1", started_at=started)

    assert (depth_of("default").running, depth_of("default").begun) == (2, 1)
    assert (depth_of("default").slots, depth_of("other").slots) == (2, 1)


def test_every_queue_is_found_from_one_to_the_next() -> None:
    now = clock.to_storage(clock.now())
    for state in ("ready", "aside", "parked", "claimed"):
        for name in ("b", "a", state):
            QueuedMessage.objects.create(queue=name, state=state, sent_at=now, payload="{}")

    found = standing.queues(QueuedMessage.objects.all())

    assert sorted(found) == ["a", "aside", "b", "claimed", "parked", "ready"]
