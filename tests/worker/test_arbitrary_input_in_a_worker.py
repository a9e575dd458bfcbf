"""The same over each broker and to a real worker: what comes is run or kept, once, and the worker stays as it is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import kombu
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskResult
from tests.arbitrary import FIRST_PROTOCOL, GOOD, MUTATED, STORED
from tests.examples import TIMES, examples
from tests.hostile import Hostile, send
from tests.ledger.models import Entry
from tests.ledger.tasks import note
from tests.services import Redis, Server
from tests.workers import RunningWorker, Start, eventually

pytestmark = [pytest.mark.worker, pytest.mark.timeout(300 * TIMES)]

Value = TypeVar("Value")

#: After so many others comes a good task.
BETWEEN = 5


def generated(values: st.SearchStrategy[Value], number: int) -> list[Value]:
    found: list[Value] = []

    @examples(number)
    @given(values)
    def find(one: Value) -> None:
        found.append(one)

    find()
    return found


def told_apart(number: int, one: Hostile) -> Hostile:
    """With an id that no other has: what comes twice is to run once."""
    if one.name == "protocol 1":
        body = json.loads(one.body)
        return dataclasses.replace(one, body=json.dumps({**body, **_id(number, body["id"])}).encode())
    return dataclasses.replace(one, headers={**one.headers, **_id(number, one.headers["id"])})


def _id(number: int, said: Any) -> dict[str, str]:
    return {"id": f"{number} {said}"} if isinstance(said, str) else {}


def has_own_limits(one: Hostile) -> bool:
    """Of a task that may take no time at all the process is killed, as its message wants."""
    said = json.loads(one.body) if one.name == "protocol 1" else one.headers
    return bool(said["timelimit"] != GOOD.headers["timelimit"])


class Stranger:
    """Puts into the queue whatever its broker takes."""

    def __init__(self, server: Server | None) -> None:
        self.server = server
        # Not before it has confirmed a message is it known that RabbitMQ has not ended the connection over it.
        self.connection = kombu.Connection(broker().url, transport_options={"confirm_publish": True})
        self.count = 0

    def put(self, one: Hostile) -> None:
        with contextlib.suppress(Exception), self.connection.clone() as own, own.channel() as channel:
            kombu.Queue("default", kombu.Exchange("default"), routing_key="default")(channel).declare()
            send(kombu.Producer(channel), one, queue="default", id="")
            self.count += 1

    def write(self, text: str) -> None:
        """Where the broker keeps what it has, if anybody can write there."""
        if self.server is None:
            now = clock.to_storage(clock.now())
            QueuedMessage(queue="default", payload=text, sent_at=now).save(force_insert=True)
        elif isinstance(self.server, Redis):
            with self.server.client() as client:
                client.lpush("default", text)
        else:
            return
        self.count += 1


def put_all(server: Server | None) -> tuple[int, set[str]]:
    """Good tasks, and others between them: how many of those, and the ids of the good ones."""
    stranger = Stranger(server)
    acts: list[Callable[[], object]] = [
        *(
            lambda number=number, one=one: stranger.put(told_apart(number, one))
            for number, one in enumerate(generated(MUTATED | FIRST_PROTOCOL, 120))
            if not has_own_limits(one)
        ),
        *(
            lambda number=number, text=text: stranger.write(text.replace('"stored"', f'"stored {number}"'))
            for number, text in enumerate(generated(STORED, 40))
        ),
    ]
    good = set()
    for number, act in enumerate(acts):
        if number % BETWEEN == 0:
            good.add(note.delay(number).id)
        act()
    return stranger.count, good


def is_all_looked_at() -> bool:
    waiting = QueuedMessage.objects.exclude(state__in=(QueuedMessage.State.ASIDE, QueuedMessage.State.PARKED))
    return broker().is_empty(["default"]) and not waiting.exists() and not TaskResult.objects.owners()


def assert_each_was_dealt_with_once(worker: RunningWorker, count: int, good: Collection[str]) -> None:
    aside = QueuedMessage.objects.aside()
    parked = QueuedMessage.objects.exclude(state=QueuedMessage.State.ASIDE).count()
    received = worker.output.count("] received\n") - len(good)
    assert worker.output.count("Message set aside from queue default: ") == aside.count()
    assert received + aside.count() + parked == count
    assert received > 0
    assert aside.count() > 0
    assert all(len(reason) > 20 for reason in aside.values_list("reason", flat=True))
    assert "cannot be admitted" not in worker.output
    assert TaskResult.objects.not_final().count() <= parked


def assert_is_dealt_with(start_worker: Start, server: Server | None = None) -> None:
    worker = start_worker("--processes=2", "--loglevel=debug")
    family = worker.family()

    count, good = put_all(server)
    eventually(lambda: TaskResult.objects.filter(id__in=good).final().count() == len(good), "good ones end")
    eventually(is_all_looked_at, "all are looked at")

    assert sorted(Entry.objects.values_list("task_id", flat=True)) == sorted(good)
    assert set(TaskResult.objects.filter(id__in=good).values_list("status", flat=True)) == {"SUCCESS"}
    assert worker.children() == family
    worker.terminate()
    assert worker.wait() == 0
    assert_each_was_dealt_with_once(worker, count, good)


def test_anything_in_the_table_of_the_embedded_broker(start_worker: Start) -> None:
    assert_is_dealt_with(start_worker)


def test_anything_over_a_broker(
    shared_server: Server, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(shared_server.url)

    assert_is_dealt_with(start_worker, shared_server)
