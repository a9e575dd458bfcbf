"""`runworker --events`: a whole worker as Celery's own monitor sees it, and as its `inspect` and `control` steer it."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.models import Entry
from tests.ledger.tasks import add, add_at_second, fail, hold, note, note_async
from tests.services import Server
from tests.worker.monitors import Monitor
from tests.workers import RunningWorker, Start, eventually

pytestmark = pytest.mark.worker


@pytest.fixture
def name() -> str:
    """Of the worker, without its host."""
    return f"monitored-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def monitor(shared_server: Server, name: str) -> Iterator[Monitor]:
    monitor = Monitor(shared_server.url, f"{name}@{os.uname().nodename}")
    monitor.start()
    yield monitor
    monitor.stop()


@pytest.fixture
def start(
    shared_server: Server, use_broker: Callable[[str], None], start_worker: Start, name: str, monitor: Monitor
) -> Callable[..., RunningWorker]:
    """Starts a worker that the monitor sees."""
    use_broker(shared_server.url)

    def start(*arguments: str, **environment: str) -> RunningWorker:
        worker = start_worker("--events", f"--name={name}", *arguments, **environment)
        eventually(lambda: monitor.worker and monitor.worker.alive, "a heartbeat")
        eventually(lambda: monitor.app.control.ping(destination=[monitor.name], timeout=0.5), "it listens")
        return worker

    return start


def asked(monitor: Monitor) -> Any:
    return monitor.app.control.inspect(destination=[monitor.name], timeout=20)


@pytest.mark.parametrize("processes", [0, 2])
def test_a_worker_and_its_tasks_are_seen(
    start: Callable[..., RunningWorker], monitor: Monitor, processes: int
) -> None:
    worker = start(f"--processes={processes}")
    assert monitor.worker.pid == worker.process.pid

    good, bad, again, coroutine = (
        add.delay(2, 3),
        fail.delay("bang"),
        add_at_second.delay(1, 2),
        note_async.delay(2),
    )

    seen = monitor.task(good.id, "SUCCESS")
    assert (seen.name, seen.args, seen.result) == (add.name, "(2, 3)", "5")
    assert seen.worker is monitor.worker
    assert monitor.task(bad.id, "FAILURE").exception == "ValueError('bang')"
    assert monitor.task(again.id, "SUCCESS").retries == 1
    assert monitor.types(again.id).count("task-retried") == 1
    assert monitor.task(coroutine.id, "SUCCESS").result == "2"
    eventually(lambda: monitor.worker.processed >= 5, "a heartbeat that counts them")

    worker.terminate()
    assert worker.wait() == 0
    monitor.event("worker-offline")
    eventually(lambda: not monitor.worker.alive, "it left")


def test_a_task_that_its_process_died_of_is_seen(
    start: Callable[..., RunningWorker], monitor: Monitor, tmp_path: Path
) -> None:
    worker = start("--processes=1")
    sent = hold.delay(str(tmp_path / "gate"))
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")

    os.kill(worker.children()[1], signal.SIGKILL)

    assert "WorkerLostError" in monitor.task(sent.id, "FAILURE").exception


def test_what_runs_is_told_and_can_be_stopped(
    start: Callable[..., RunningWorker], monitor: Monitor, tmp_path: Path
) -> None:
    start("--processes=1")
    sent = hold.delay(str(tmp_path / "gate"))
    eventually(lambda: Entry.objects.filter(task_id=sent.id).exists(), "the body runs")

    (told,) = asked(monitor).active()[monitor.name]
    assert (told["id"], told["name"], told["hostname"]) == (sent.id, hold.name, monitor.name)
    monitor.app.control.revoke(sent.id, terminate=True)

    assert monitor.task(sent.id, "REVOKED").terminated is True


def test_a_worker_answers_what_celery_asks(start: Callable[..., RunningWorker], monitor: Monitor) -> None:
    worker = start("--processes=2")
    ask = asked(monitor)

    assert ask.ping() == {monitor.name: {"ok": "pong"}}
    stats = ask.stats()[monitor.name]
    assert (stats["pid"], stats["pool"]["max-concurrency"]) == (worker.process.pid, 2)
    assert len(stats["pool"]["processes"]) == 2
    assert add.name in ask.registered()[monitor.name]
    assert "default" in [queue["name"] for queue in ask.active_queues()[monitor.name]]
    assert ask.scheduled() == ask.reserved() == ask.revoked() == {monitor.name: []}
    assert ask.conf()[monitor.name]["TASK_QUEUES"] == ["other", "third"]
    assert "django_tasks" in ask.report()[monitor.name]["ok"]


def test_a_worker_obeys_what_celery_commands(start: Callable[..., RunningWorker], monitor: Monitor) -> None:
    worker = start("--processes=1")
    control = monitor.app.control

    (answer,) = control.rate_limit(note.name, "1/h", destination=[monitor.name], reply=True, timeout=20)
    assert answer == {monitor.name: {"ok": "new rate limit set successfully"}}
    (answer,) = control.pool_grow(1, destination=[monitor.name], reply=True, timeout=20)
    assert "--processes" in answer[monitor.name]["error"]
    control.shutdown(destination=[monitor.name])

    assert worker.wait() == 0


def test_events_of_tasks_are_switched_off_in_all_processes(
    start: Callable[..., RunningWorker], monitor: Monitor
) -> None:
    start("--processes=1")
    control = monitor.app.control

    control.disable_events(destination=[monitor.name], reply=True, timeout=20)
    silent = add.delay(1, 1)
    assert silent.get(timeout=30) == 2
    control.enable_events(destination=[monitor.name], reply=True, timeout=20)
    told = add.delay(2, 2)

    monitor.task(told.id, "SUCCESS")
    assert monitor.types(silent.id) == []


def test_without_the_option_nothing_is_told_and_nobody_is_obeyed(
    shared_server: Server,
    use_broker: Callable[[str], None],
    start_worker: Start,
    monitor: Monitor,
    name: str,
) -> None:
    use_broker(shared_server.url)
    monitor.knock()
    worker = start_worker(f"--name={name}")
    assert add.delay(2, 3).get(timeout=30) == 5

    assert monitor.app.control.ping(destination=[monitor.name], timeout=1) == []
    worker.terminate()
    assert worker.wait() == 0
    monitor.knock()
    assert monitor.events == []


@pytest.mark.django_db(transaction=True)
def test_the_option_is_refused_where_messages_are_rows(start_worker: Start) -> None:
    worker = start_worker("--events")

    assert worker.wait() == 1
    assert "--events: the broker 'django://' cannot reach monitors" in worker.output
    assert "BROKER_URL" in worker.output
