"""A caller in real Celery with the result backend `rpc://` gets its answer from our worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import celery.exceptions
import pytest

from django_tasks import AsyncResult
from django_tasks.brokers.replying import UNREAD, UNREAD_FOR
from django_tasks.models import TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import add, echo, fail, hold, note, note_untracked, succeed_at
from tests.services import OwnRedis, Redis, Server
from tests.workers import PATIENCE, RunningWorker, eventually

from .conftest import OURS, Program, result_of

pytestmark = pytest.mark.worker

ANOTHER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def caller(broker: Server, transactional_db: None) -> Iterator[Program]:
    program = Program(broker.url, "rpc://")
    yield program
    program.close()


def test_results_arrive(our_worker: RunningWorker, caller: Program) -> None:
    plain = caller(add, 1, 2).apply_async()
    rich = caller(echo, {"größe": [None, 1.5, b"\xff"]}).apply_async()
    again = caller(succeed_at, 2).apply_async()

    assert plain.get(timeout=PATIENCE) == 3
    assert rich.get(timeout=PATIENCE) == {"größe": [None, 1.5, b"\xff"]}
    assert again.get(timeout=PATIENCE) == 2
    assert again.state == "SUCCESS"


def test_a_failure_arrives_with_its_traceback(our_worker: RunningWorker, caller: Program) -> None:
    sent = caller(fail, "bang").apply_async()

    with pytest.raises(ValueError, match="bang"):
        sent.get(timeout=PATIENCE)

    assert "ValueError: bang" in sent.traceback


def test_the_end_of_a_chain_arrives(our_worker: RunningWorker, caller: Program) -> None:
    good = celery.chain(caller(add, 1, 2), caller(add, 3), caller(add, 4)).apply_async()
    bad = celery.chain(caller(fail, "bang"), caller(add, 1)).apply_async()

    assert good.get(timeout=PATIENCE) == 10
    with pytest.raises(ValueError, match="bang"):
        bad.get(timeout=PATIENCE)


def test_the_results_of_a_group_arrive(our_worker: RunningWorker, caller: Program) -> None:
    sent = celery.group(caller(add, number, 1) for number in range(20)).apply_async()

    assert sent.get(timeout=PATIENCE) == list(range(1, 21))


def test_a_task_that_is_revoked_says_so(broker: Server, caller: Program, start_worker: Any) -> None:
    sent = caller(note, 1).apply_async(countdown=3600)
    start_worker("--processes=1", f"--queues={OURS}")
    eventually(TaskResult.objects.filter(id=sent.id).exists, "it is parked")

    AsyncResult(sent.id).revoke()

    with pytest.raises(celery.exceptions.TaskRevokedError):
        sent.get(timeout=PATIENCE)


def test_what_wants_no_result_is_not_answered(our_worker: RunningWorker, caller: Program) -> None:
    caller(note_untracked, 1).apply_async(ignore_result=True)
    sent = caller(add, 1, 2).apply_async()

    assert sent.get(timeout=PATIENCE) == 3
    assert not list(caller.app.backend._slurp_from_queue(sent.id, ["json"]))


def test_answers_that_nobody_reads_do_not_stay(
    our_worker: RunningWorker, celery_program: Program, broker: Server
) -> None:
    """Celery's programs name a queue for answers, whatever result backend they have."""
    sent = [celery_program(add, number, 1).apply_async() for number in range(3)]
    assert [result_of(one.id) for one in sent] == [1, 2, 3]

    queue = celery_program.app.thread_oid
    if isinstance(broker, Redis):
        with broker.client() as client:
            eventually(lambda: client.llen(queue) == 3, "they are answered")
            assert 0 < client.ttl(queue) <= UNREAD_FOR
    else:
        assert queue not in broker.ctl("list_queues", "-p", broker.vhost, "name")  # type: ignore[attr-defined]


@pytest.mark.redis
def test_a_queue_of_answers_that_is_full_gets_no_more(
    redis_server: Redis, use_broker: Any, start_worker: Any, results: str, transactional_db: None
) -> None:
    use_broker(redis_server.url)
    program = Program(redis_server.url, results)
    queue = program.app.thread_oid
    with redis_server.client() as client:
        client.rpush(queue, *["unread"] * UNREAD)
        start_worker("--processes=1", f"--queues={OURS}")

        sent = [program(add, number, 1).apply_async() for number in range(3)]
        assert [result_of(one.id) for one in sent] == [1, 2, 3]
        program(add, 1, 1).apply_async(reply_to=ANOTHER)

        eventually(lambda: client.llen(ANOTHER) == 1, "a later one is answered")
        assert client.llen(queue) == UNREAD
    program.close()


@pytest.mark.redis
def test_a_broker_that_is_gone_keeps_no_end_from_being_recorded(
    own_redis: OwnRedis, use_broker: Any, start_worker: Any, tmp_path: Path, transactional_db: None
) -> None:
    use_broker(own_redis.url)
    gate = tmp_path / "gate"
    program = Program(own_redis.url, "rpc://")
    sent = program(hold, str(gate)).apply_async()
    worker = start_worker("--processes=1", f"--queues={OURS}")
    eventually(Entry.objects.exists, "its body runs")

    own_redis.kill()
    gate.touch()

    assert result_of(sent.id) == "through"
    eventually(lambda: "1 callers that wait by rpc:// were not answered" in worker.output, "it is said")
    own_redis.start()
    program.close()


def test_no_answer_goes_into_a_queue_of_tasks(our_worker: RunningWorker, celery_program: Program) -> None:
    sent = celery_program(add, 1, 2).apply_async(reply_to=OURS)
    after = celery_program(add, 3, 4).apply_async()

    assert result_of(sent.id) == 3
    assert result_of(after.id) == 7
    assert TaskResult.objects.count() == 2
