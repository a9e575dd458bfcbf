"""The broker being away, or the way to it being cut, is a pause: a worker is at work again when it is back."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskResult, Worker
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, hold_untracked, note
from tests.proxy import Proxy, through_proxy
from tests.services import OwnRabbitMQ, OwnRedis, OwnServer
from tests.threads import flow
from tests.workers import RunningWorker, Start, all_final, eventually, runs_when_sent, status

pytestmark = [
    pytest.mark.worker,
    pytest.mark.timeout(300),
    # py-amqp forgets to close the socket of a connection that breaks before it stands.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

SEEKING = {"DJANGO_SETTINGS_MODULE": "tests.worker.seeking_settings"}


@pytest.fixture
def network(own_server: OwnServer, use_broker: Callable[[str], None]) -> Iterator[Proxy]:
    """Between the broker and everybody who uses it."""
    with through_proxy(own_server.url) as proxy:
        use_broker(proxy.url(own_server.url))
        yield proxy


@pytest.fixture
def worker(network: Proxy, start_worker: Start) -> RunningWorker:
    """At work, with two processes."""
    started = start_worker("--processes=2")
    runs_when_sent(note)
    return started


def overdue() -> int:
    """What waits has waited for long: nobody here wants to do that."""
    rows = TaskResult.objects.waiting().exclude(awaited_at=None)
    return rows.update(awaited_at=clock.to_storage(clock.now() - dt.timedelta(minutes=1)))


def trouble() -> str:
    return Worker.objects.get().trouble


def assert_each_ran_once() -> None:
    eventually(all_final, "an ending for every task")
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS"}
    ran = Counter(Entry.objects.values_list("task_id", flat=True))
    assert ran == Counter(TaskResult.objects.values_list("id", flat=True))
    eventually(lambda: not QueuedMessage.objects.exists(), "an empty outbox")


def assert_it_lives_on(worker: RunningWorker, family: list[int], lost_some: bool = False) -> None:
    assert worker.children() == family
    assert "Traceback" not in worker.output
    assert lost_some or "sent again" not in worker.output


def test_a_restarted_broker_finds_its_consumers_again(own_server: OwnServer, worker: RunningWorker) -> None:
    family = worker.family()

    with flow(note.delay):
        own_server.restart()
        runs_when_sent(note)

    assert_each_ran_once()
    assert_it_lives_on(worker, family)


def test_a_killed_broker_loses_nothing(own_server: OwnServer, worker: RunningWorker) -> None:
    family = worker.family()

    with flow(note.delay):
        own_server.kill()
        own_server.start()
        runs_when_sent(note)

    assert_each_ran_once()
    assert_it_lives_on(worker, family)


def test_connections_that_are_reset_again_and_again_are_made_anew(
    network: Proxy, worker: RunningWorker
) -> None:
    family = worker.family()

    with flow(note.delay):
        for _ in range(10):
            network.reset_all()
            runs_when_sent(note)

    assert_each_ran_once()
    assert_it_lives_on(worker, family)


def test_a_network_that_swallows_everything_is_noticed(network: Proxy, worker: RunningWorker) -> None:
    family = worker.family()

    with flow(note.delay):
        accepted = network.accepted
        network.hold()
        eventually(lambda: network.accepted >= accepted + 6, "new connections are tried")
        network.release()
        runs_when_sent(note)

    assert_each_ran_once()
    assert_it_lives_on(worker, family)


def test_a_broker_that_refuses_connections_is_asked_until_it_accepts_them(
    network: Proxy, worker: RunningWorker
) -> None:
    family = worker.family()

    with flow(note.delay):
        network.refuse()
        network.reset_all()
        eventually(lambda: "(3 in a row)" in worker.output, "it is tried")
        eventually(lambda: "broker" in trouble(), "the worker says so")
        network.accept()
        runs_when_sent(note)
        eventually(lambda: not trouble(), "the worker says that it is over")

    assert_each_ran_once()
    assert worker.output.count("This worker is in trouble: The broker cannot be reached") == 1
    assert_it_lives_on(worker, family)


def test_what_ends_while_the_broker_is_away_is_recorded_at_once(
    network: Proxy, start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    tracked, untracked = hold.delay(str(gate)), hold_untracked.delay(str(gate))
    start_worker("--processes=1", "--threads=2")
    eventually(lambda: Entry.objects.count() == 2, "both run")
    network.refuse()
    network.reset_all()
    eventually(lambda: Worker.objects.exclude(trouble="").exists(), "the broker is away")

    gate.touch()

    eventually(lambda: status(tracked.id) == "SUCCESS", "the end is recorded")
    eventually(lambda: not QueuedMessage.objects.exists(), "the message is settled")
    assert {entry.task_id for entry in Entry.objects.all()} == {tracked.id, untracked.id}
    assert trouble()


@pytest.mark.rabbitmq
def test_a_queue_deleted_under_the_worker_is_made_again(
    own_rabbitmq: OwnRabbitMQ, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(own_rabbitmq.url)
    worker = start_worker("--processes=2", **SEEKING)
    runs_when_sent(note)
    family = worker.family()

    with flow(note.delay):
        for _ in range(3):
            own_rabbitmq.empty()
            runs_what_was_lost()

    runs_what_was_lost()
    assert_each_ran_once()
    assert_it_lives_on(worker, family, lost_some=True)
    assert "cancel" in worker.output.lower()


@pytest.mark.redis
def test_what_a_flushed_redis_has_forgotten_is_sent_again(
    own_redis: OwnRedis, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(own_redis.url)
    worker = start_worker("--processes=2", **SEEKING)
    runs_when_sent(note)
    family = worker.family()

    with flow(note.delay):
        for _ in range(3):
            own_redis.empty()
            runs_what_was_lost()

    runs_what_was_lost()
    assert_each_ran_once()
    assert_it_lives_on(worker, family, lost_some=True)


def test_what_was_purged_is_sent_again_from_its_rows(
    own_server: OwnServer, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(own_server.url)
    sent = note.bulk([(number,) for number in range(50)])
    assert broker().size("default") == 50
    own_server.empty()

    start_worker("--processes=2")
    overdue()

    eventually(all_final, "all are sent again")
    ran = Counter(Entry.objects.values_list("task_id", flat=True))
    assert ran == Counter(result.id for result in sent)


def runs_what_was_lost() -> None:
    """All that has been sent so far."""
    note.delay()
    sent = list(TaskResult.objects.values_list("id", flat=True))
    overdue()
    eventually(lambda: TaskResult.objects.filter(id__in=sent).final().count() == len(sent), "all have run")
