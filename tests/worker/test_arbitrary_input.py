"""Whatever comes to a consumer: it is run or set aside, once, and what comes before and after it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import kombu
import pytest
from hypothesis import given

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult
from django_tasks.service import Wakeup
from tests.arbitrary import FIRST_PROTOCOL, MUTATED, STORED
from tests.examples import TIMES, examples
from tests.execution.fleet import Worker
from tests.hostile import Hostile, send
from tests.ledger.tasks import constant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600 * TIMES)]


@pytest.fixture(params=["django://", "memory://"])
def worker(request: pytest.FixtureRequest, use_broker: Callable[[str], None]) -> Iterator[Worker]:
    use_broker(request.param)
    with closing(Wakeup()) as bell, closing(Worker(bell)) as worker:
        yield worker


def put(hostile: Hostile) -> bool:
    """False if kombu refuses to send it."""
    with kombu.Connection(broker().url) as stranger, stranger.channel() as channel:
        kombu.Queue("default", kombu.Exchange("default"), routing_key="default")(channel).declare()
        try:
            send(kombu.Producer(channel), hostile, queue="default", id="hostile")
        except Exception:  # noqa: BLE001 - so nobody can
            return False
    return True


def work_off(worker: Worker) -> list[str]:
    """Until nothing is left to receive; the ids of what was run."""
    ran: list[str] = []
    for _ in range(20):
        worker.receive(10)
        while begun := worker.runner.begin_next():
            slot, request = begun
            ran.append(request.message.id)
            worker.runner.end_body(slot)
        worker.settle()
        if not worker.consumer.claims and worker.consumer.listen().is_drained():
            return ran
    raise AssertionError("the queue is never empty")


def assert_it_is_dealt_with_once(worker: Worker, puts: Callable[[], bool]) -> None:
    """With good tasks around it."""
    for rows in (QueuedMessage, TaskResult, TaskGroup):
        rows.objects.all().delete()
    worker.lease.turn()
    before = constant.delay(1)
    is_put = puts()
    after = constant.delay(2)

    ran = work_off(worker)

    assert ran.count(before.id) == ran.count(after.id) == 1
    good = TaskResult.objects.filter(id__in=[before.id, after.id])
    assert set(good.values_list("status", flat=True)) == {"SUCCESS"}
    kept = list(QueuedMessage.objects.values_list("state", "reason"))
    others = TaskResult.objects.exclude(id__in=good)
    # What came in protocol 1 with an eta is sent on with a row; so is what has expired.
    told = {*ran, *others.final().values_list("id", flat=True)} - {before.id, after.id}
    assert len(kept) + len(told) == is_put
    assert all(state == "parked" or len(reason) > 20 for state, reason in kept)
    assert not any("cannot be admitted" in reason for _, reason in kept)
    assert not TaskResult.objects.owners()


@examples(40)
@given(MUTATED)
def test_a_mutated_message(worker: Worker, hostile: Hostile) -> None:
    assert_it_is_dealt_with_once(worker, lambda: put(hostile))


@examples(20)
@given(FIRST_PROTOCOL)
def test_a_mutated_message_of_the_first_protocol(worker: Worker, hostile: Hostile) -> None:
    assert_it_is_dealt_with_once(worker, lambda: put(hostile))


@examples(40)
@given(STORED)
def test_anything_that_is_written_into_the_table(use_broker: Callable[[str], None], text: str) -> None:
    row = QueuedMessage(queue="default", payload=text, sent_at=clock.to_storage(clock.now()))

    def write() -> bool:
        row.save(force_insert=True)
        return True

    with closing(Wakeup()) as bell, closing(Worker(bell)) as worker:
        assert_it_is_dealt_with_once(worker, write)
