"""Control with the messages on RabbitMQ or Redis: it goes through the database, so it is the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from django_tasks import app
from django_tasks.brokers.handler import broker
from django_tasks.dispatch.depths import depths
from django_tasks.models import TaskResult, Worker
from tests.ledger.models import Entry
from tests.ledger.tasks import elsewhere, note
from tests.services import Server
from tests.workers import PATIENCE, RunningWorker, Start, eventually, status

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def remote(shared_server: Server, use_broker: Callable[[str], None]) -> Iterator[Server]:
    use_broker(shared_server.url)
    yield shared_server
    broker().pool().force_close_all()


def ready(queue: str) -> int:
    return next(depth.ready for depth in depths() if depth.queue == queue)


def test_a_queue_is_paused_and_resumed_while_others_are_served(start_worker: Start) -> None:
    worker = start_worker("--processes=2")
    assert note.delay(1).get(timeout=PATIENCE) == 1

    app.control.pause_queue("default", "repairs")
    eventually(lambda: "Queue default is paused" in worker.output, "it is heard")
    for number in range(4):
        elsewhere.delay(number).get(timeout=PATIENCE)
    waiting = note.bulk([(number,) for number in range(20)])
    assert elsewhere.delay(5).get(timeout=PATIENCE) == 5

    assert {status(result.id) for result in waiting} == {"PENDING"}
    eventually(lambda: ready("default") == 20, "all of them are in the queue, none ahead with a worker")
    app.control.resume_queue("default")
    assert [result.get(timeout=PATIENCE) for result in waiting] == list(range(20))
    assert Entry.objects.count() == 21


def test_a_worker_that_starts_later_does_not_touch_what_is_paused(start_worker: Start) -> None:
    for queue in ("default", "other", "third"):
        app.control.pause_queue(queue)
    waiting = [note.delay(1), elsewhere.delay(2)]
    start_worker("--processes=1")
    eventually(lambda: Worker.objects.exists(), "a worker")

    (answer,) = (app.control.inspect(timeout=PATIENCE).active_queues() or {}).values()
    assert answer == []
    app.control.resume_queue("other")

    assert waiting[1].get(timeout=PATIENCE) == 2
    assert (status(waiting[0].id), ready("default")) == ("PENDING", 1)


def test_for_a_burst_a_paused_queue_is_empty(run_burst: Callable[..., RunningWorker]) -> None:
    app.control.pause_queue("default")
    waiting, served = note.delay(1), elsewhere.delay(2)

    run_burst("--processes=1")

    assert (status(waiting.id), status(served.id)) == ("PENDING", "SUCCESS")


def test_a_purged_queue_is_empty_and_its_tasks_have_ended() -> None:
    sent = note.bulk([(number,) for number in range(7)])
    later, other = note.apply_async((8,), countdown=3600), elsewhere.delay(9)

    assert app.control.purge("default") == 7

    assert broker().size("default") == 0
    assert {result.state for result in sent} == {"REVOKED"}
    assert (later.state, other.state) == ("PENDING", "PENDING")
    assert TaskResult.objects.waiting().count() == 2


def test_the_password_of_the_broker_is_not_told(start_worker: Start, remote: Server) -> None:
    start_worker("--processes=1")
    eventually(lambda: Worker.objects.exists(), "a worker")
    ask = app.control.inspect(timeout=PATIENCE)

    (stats,) = (ask.stats() or {}).values()
    told = [stats["broker"], ask.conf(with_defaults=True), ask.report()]

    assert stats["broker"]["hostname"] == "127.0.0.1"
    assert stats["broker"]["transport"] == ("redis" if remote.kind == "redis" else "amqp")
    assert "guest:guest" not in json.dumps(told)
    assert "password" not in stats["broker"]
