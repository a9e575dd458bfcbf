"""Where messages are signed a real worker runs its project's tasks, on every way that they go, and nobody else's."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from django_tasks import AsyncResult, chain, chord, clock, group, states
from django_tasks.brokers.broker import Posting
from django_tasks.brokers.handler import broker
from django_tasks.definition.task import Task
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.signing import HEADER
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import echo, note, note_untracked, reject_once, succeed_at, succeed_at_untracked
from tests.security.attacked_tasks import add, show_headers
from tests.security.signing_settings import DJANGO_TASKS
from tests.services import Server
from tests.workers import RunningWorker, Start, eventually

pytestmark = pytest.mark.worker
RunBurst = Callable[..., RunningWorker]
SIGNING = {"DJANGO_SETTINGS_MODULE": "tests.security.signing_settings"}


@pytest.fixture
def signing(settings: Any) -> Any:
    settings.DJANGO_TASKS = DJANGO_TASKS
    return settings


@pytest.fixture
def burst(signing: Any, run_burst: RunBurst) -> Callable[[], RunningWorker]:
    return lambda: run_burst("--processes=1", **SIGNING)


def written(task: Task[..., Any], *args: Any, **values: Any) -> Envelope:
    return encode(TaskMessage(id="given", task=task.name, args=args, **values))


def put(envelope: Envelope, queue: str = "default") -> None:
    broker().publish([Posting(envelope=envelope, queue=queue)])


def reason() -> str:
    return QueuedMessage.objects.aside().get().reason


def ran() -> list[int]:
    return sorted(Entry.objects.values_list("number", flat=True))


# -- what is ours


def send_by_every_way() -> Sequence[AsyncResult]:
    """At once, later, packed, through exchanges, as a retry, handed back, and as what follows from others."""
    note_untracked.delay(1)
    succeed_at_untracked.delay(2)
    return [
        note.delay(2),
        note.apply_async((3,), countdown=0.1),
        note.apply_async((4,), compression="gzip"),
        note.apply_async((5,), exchange="shop", routing_key="order"),
        note.apply_async((6,), exchange="everywhere"),
        note.apply_async((7,), serializer="pickle", headers={"tenant": {"id": 7.5, "name": "Ä"}}),
        succeed_at.delay(2),
        reject_once.delay(),
        chain(echo.s(1), add.s(2)).delay(),
        chord([echo.s(1), echo.s(2)], echo.s()).delay(),
        *group(echo.s(1), echo.s(2)).delay(),
    ]


def test_our_own_tasks_run_whichever_way_they_go(signing: Any, start_worker: Start) -> None:
    sent = send_by_every_way()

    start_worker("--processes=1", **SIGNING)

    values = [result.get(timeout=45) for result in sent]
    assert values[:6] == [2, 3, 4, 5, 6, 7]
    assert values[8:] == [3, [1, 2], 1, 2]
    eventually(lambda: not QueuedMessage.objects.exists(), "nothing waits or was set aside")


def test_so_they_do_over_a_broker(
    signing: Any, shared_server: Server, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(shared_server.url)
    sent = send_by_every_way()

    start_worker("--processes=1", **SIGNING)

    values = [result.get(timeout=45) for result in sent]
    assert values[:6] == [2, 3, 4, 5, 6, 7]
    assert values[8:] == [3, [1, 2], 1, 2]
    eventually(lambda: broker().is_empty(["default"]), "all was taken")
    assert not QueuedMessage.objects.aside().exists()


def test_a_message_signed_with_another_key_is_set_aside_with_what_to_do(
    burst: Callable[[], RunningWorker], signing: Any
) -> None:
    new = signing.SECRET_KEY
    signing.SECRET_KEY = "of another time"
    note.delay(1)
    signing.SECRET_KEY = new

    burst()

    assert ran() == []
    assert "SECRET_KEY_FALLBACKS" in reason()


# -- what is not


def unsigned() -> Envelope:
    envelope = written(note, 1)
    return dataclasses.replace(
        envelope, headers={name: value for name, value in envelope.headers.items() if name != HEADER}
    )


def of_protocol_1() -> Envelope:
    body = json.dumps({"task": note.name, "id": "given", "args": [1], "kwargs": {}})
    return Envelope(headers={}, body=body, content_type="application/json", content_encoding="utf-8")


def with_other_arguments() -> Envelope:
    envelope = written(note, 1)
    return dataclasses.replace(envelope, body=str(envelope.body).replace("1", "2"))


def of_another_task() -> Envelope:
    envelope = written(echo, 1)
    return dataclasses.replace(envelope, headers={**envelope.headers, "task": note.name})


def under_another_id() -> Envelope:
    envelope = written(note, 1)
    return dataclasses.replace(envelope, headers={**envelope.headers, "id": "another"})


def before_its_time() -> Envelope:
    envelope = written(note, 1, eta=clock.now() + dt.timedelta(days=1))
    return dataclasses.replace(envelope, headers={**envelope.headers, "eta": None})


def after_its_time() -> Envelope:
    envelope = written(note, 1, expires=clock.now() - dt.timedelta(days=1))
    return dataclasses.replace(envelope, headers={**envelope.headers, "expires": None})


@pytest.mark.parametrize(
    "forged",
    [
        unsigned,
        of_protocol_1,
        with_other_arguments,
        of_another_task,
        under_another_id,
        before_its_time,
        after_its_time,
    ],
)
def test_a_forged_message_is_set_aside_and_the_next_one_runs(
    burst: Callable[[], RunningWorker], forged: Callable[[], Envelope]
) -> None:
    put(forged())
    note.delay(7)

    worker = burst()

    assert ran() == [7]
    assert "sign" in reason()
    assert worker.output.count("Message set aside") == 1
    assert TaskResult.objects.count() == 1


def test_a_message_that_was_moved_to_another_queue_is_set_aside_with_both_names(
    burst: Callable[[], RunningWorker],
) -> None:
    put(written(note, 1, queue="mail"), queue="other")
    put(written(note, 2, exchange="shop", routing_key="order"), queue="other")

    burst()

    assert ran() == []
    reasons = QueuedMessage.objects.aside().order_by("id").values_list("reason", flat=True)
    assert [("'mail'" in text, "'shop'" in text, "'other'" in text) for text in reasons] == [
        (True, False, True),
        (False, True, True),
    ]


def test_a_message_of_real_celery_is_set_aside(burst: Callable[[], RunningWorker]) -> None:
    import celery

    with celery.Celery(broker="django://", set_as_current=False) as program:
        program.send_task(note.name, (1,), queue="default", ignore_result=True)

    burst()

    assert ran() == []
    assert "not signed" in reason()


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


def test_of_an_unsigned_message_not_even_accepted_pickle_is_opened(
    burst: Callable[[], RunningWorker], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    forged = dataclasses.replace(
        unsigned(),
        body=pickle.dumps([[Bomb(trace)], {}, {}]),
        content_type="application/x-python-serialize",
        content_encoding="binary",
    )
    put(forged)

    burst()

    assert not trace.exists()
    assert "not signed" in reason()


def test_headers_that_somebody_added_on_the_way_do_not_reach_the_task(
    burst: Callable[[], RunningWorker],
) -> None:
    envelope = written(show_headers, headers={"tenant": 7})
    put(dataclasses.replace(envelope, headers={**envelope.headers, "is_admin": True}))

    burst()

    assert AsyncResult("given").get(timeout=1) == {"tenant": 7}


def test_a_message_that_comes_again_finds_its_task_ended(burst: Callable[[], RunningWorker]) -> None:
    for _ in range(2):
        put(written(note, 1))
        burst()

    assert ran() == [1]
    assert not QueuedMessage.objects.exists()


def test_a_forged_message_does_not_keep_a_lost_one_from_being_sent_again(
    signing: Any, redis_server: Server, use_broker: Callable[[str], None], run_burst: RunBurst
) -> None:
    use_broker(redis_server.url)
    lost = note.delay(1)
    redis_server.empty()
    put(dataclasses.replace(unsigned(), headers={**unsigned().headers, "id": lost.id}))

    run_burst("--processes=1", **SIGNING)

    assert "not signed" in reason()
    assert TaskResult.objects.get(id=lost.id).awaited_at is not None


def test_one_that_is_refused_as_it_was_sent_is_not_sent_again(
    signing: Any, redis_server: Server, use_broker: Callable[[str], None], run_burst: RunBurst
) -> None:
    use_broker(redis_server.url)
    new = signing.SECRET_KEY
    signing.SECRET_KEY = "of another time"
    sent = note.delay(1)
    signing.SECRET_KEY = new

    run_burst("--processes=1", **SIGNING)

    row = TaskResult.objects.get(id=sent.id)
    assert (row.status, row.awaited_at) == (states.PENDING, None)
