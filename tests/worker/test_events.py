"""Events: what Celery's own monitor believes of our tasks and workers, over real brokers."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from celery.events.state import Worker as CeleryWorker

from django_tasks import Task, clock, signals, task
from django_tasks.brokers import connecting
from django_tasks.exceptions import NotRegistered, Reject
from django_tasks.execution import news
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Request, Revoked
from django_tasks.message.message import Envelope, TaskMessage
from django_tasks.service import running
from django_tasks.worker.board import Board
from django_tasks.worker.events import of_tasks
from django_tasks.worker.events import sender as sending
from django_tasks.worker.events.of_tasks import TaskEvents
from django_tasks.worker.events.of_worker import Heart
from django_tasks.worker.events.sender import EventSender
from django_tasks.worker.events.shared import LATEST, Shared
from tests.proxy import through_proxy
from tests.services import OwnServer
from tests.worker.monitors import Monitor
from tests.workers import PATIENCE, eventually

#: What all events say, and besides it each type; as Celery 5.7's own workers do.
OF_ALL = {"type", "hostname", "pid", "utcoffset", "clock", "timestamp"}
ADDED_BY_RECEIVER = {"local_received"}
OF_WORKER = {"freq", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys"}
FIELDS = {
    "task-received": {
        *("uuid", "name", "args", "kwargs", "root_id", "parent_id", "retries", "eta", "expires"),
    },
    "task-started": {"uuid"},
    "task-succeeded": {"uuid", "result", "runtime"},
    "task-failed": {"uuid", "exception", "traceback"},
    "task-retried": {"uuid", "exception", "traceback"},
    "task-revoked": {"uuid", "terminated", "signum", "expired"},
    "task-rejected": {"uuid", "requeue"},
    "worker-online": OF_WORKER,
    "worker-heartbeat": OF_WORKER,
    "worker-offline": OF_WORKER,
}


_NOW = clock.now()
_SIGNALS = (
    *(signals.task_received, signals.task_prerun, signals.task_postrun, signals.task_success),
    *(signals.task_failure, signals.task_retry, signals.task_revoked, signals.task_unknown),
)


@task(name="events.add")
def add(x: int, y: int) -> int:
    return x + y


@task(name="events.add_async")
async def add_async(x: int, y: int) -> int:
    return x + y


@task(name="events.login", redact=["pin"])
def login(pin: str) -> dict[str, str]:
    return {"password": "topsecret", "pin": pin, "user": "ada"}


@task(name="events.fail")
def fail() -> None:
    raise ValueError("bang")


@task(bind=True, name="events.again", default_retry_delay=0)
def again(self: Task[..., Any]) -> None:
    raise self.retry(exc=KeyError("busy"))


@task(name="events.give_back")
def give_back() -> None:
    raise Reject("not here", requeue=True)


@pytest.fixture
def silent(name: str, shared: Shared) -> EventSender:
    """Sends nothing, for it is never started."""
    return EventSender(
        connect=lambda: kombu.Connection("memory://"), hostname=name, pid=1, clock=shared.clock(0)
    )


@pytest.fixture
def monitor(url: str, name: str) -> Iterator[Monitor]:
    monitor = Monitor(url, name)
    monitor.start()
    yield monitor
    monitor.stop()


@pytest.fixture
def told(sender: EventSender, shared: Shared, monitor: Monitor) -> Iterator[Monitor]:
    """The monitor hears what happens to tasks in this process."""
    with running([sender, TaskEvents(sender, shared)]):
        heard(sender, monitor)
        yield monitor


def heard(sender: EventSender, monitor: Monitor) -> None:
    """Until the monitor listens; what is sent before is heard by nobody."""

    def knock() -> bool:
        sender.send("worker-heartbeat", freq=2.0)
        return bool(monitor.events)

    eventually(knock, "the monitor listens")


def run(name: str, task: Task[..., Any], *args: Any, **fields: Any) -> str:
    """Run a task as a task process does; its id."""
    id = str(uuid.uuid4())
    fields = {"argsrepr": repr(args), "kwargsrepr": "{}", "root_id": id, **fields}
    request = Request(
        message=TaskMessage(id=id, task=task.name, args=args, **fields), worker=name, tracked=False
    )
    news.received([request])
    execute(request)
    return id


# -- tasks


def test_a_success_is_seen_with_all_that_celery_shows(told: Monitor, name: str, shared: Shared) -> None:
    id = run(name, add, 2, 3)

    task = told.task(id, "SUCCESS")
    assert (task.name, task.args, task.kwargs) == ("events.add", "(2, 3)", "{}")
    assert (task.result, task.retries, task.root_id) == ("5", 0, id)
    assert (task.parent_id, task.eta, task.expires) == (None, None, None)
    assert task.received <= task.started <= task.succeeded
    assert 0 <= task.runtime < PATIENCE
    assert task.worker.hostname == name
    assert task.pid == shared.pid == os.getpid()


def test_where_a_task_comes_from_and_when_it_is_due_are_seen(told: Monitor, name: str) -> None:
    id = run(name, add, 2, 3, parent_id="the-parent", root_id="the-root", shadow="sum", retries=1)

    task = told.task(id, "SUCCESS")
    assert (task.parent_id, task.root_id, task.name, task.retries) == ("the-parent", "the-root", "sum", 1)


def test_a_coroutine_is_seen_too(told: Monitor, name: str) -> None:
    id = run(name, add_async, 2, 3)

    assert told.task(id, "SUCCESS").result == "5"


def test_a_failure_is_seen_with_its_traceback(told: Monitor, name: str) -> None:
    task = told.task(run(name, fail), "FAILURE")

    assert task.exception == "ValueError('bang')"
    assert "raise ValueError" in task.traceback
    assert task.failed


def test_a_retry_is_seen_with_its_reason(told: Monitor, name: str) -> None:
    task = told.task(run(name, again), "RETRY")

    assert task.exception == "KeyError('busy')"
    assert "self.retry" in task.traceback
    assert task.retried


@pytest.mark.parametrize(("terminated", "expired"), [(False, False), (False, True), (True, False)])
def test_a_revoked_task_is_seen_with_why(told: Monitor, name: str, terminated: bool, expired: bool) -> None:
    request = Request(message=TaskMessage(id=str(uuid.uuid4()), task=add.name), worker=name)

    if terminated:
        news.terminated(request)
    elif expired:
        news.expired([Revoked(request=request, error="", finished_at=_NOW)])
    else:
        news.discarded([request])

    task = told.task(request.message.id, "REVOKED")
    assert (task.terminated, task.expired, task.signum) == (terminated, expired, None)


def test_a_task_that_is_given_back_is_rejected(told: Monitor, name: str) -> None:
    id = run(name, give_back)

    assert told.event("task-rejected", id)["requeue"] is True


def test_a_task_that_nobody_knows_is_rejected(told: Monitor, name: str) -> None:
    id = str(uuid.uuid4())
    envelope = Envelope(
        headers={"id": id, "task": "no.such"}, body="", content_type="application/json", content_encoding=""
    )

    news.set_aside(name, [(envelope, NotRegistered("no.such"))])

    told.task(id, "REJECTED")
    assert told.event("task-rejected", id)["requeue"] is False


def test_every_event_has_celery_s_fields_and_no_others(told: Monitor, name: str, sender: EventSender) -> None:
    heart = Heart(sender, Board(1, 1, uuid.uuid4().hex))
    with running([heart]):
        run(name, add, 2, 3)
        run(name, fail)
        run(name, again)
        news.discarded([Request(message=TaskMessage(id="1", task=add.name), worker=name)])
        last = run(name, give_back)
    told.event("worker-offline")
    told.event("task-rejected", last)

    events = [event for event in told.events if event["type"] in FIELDS and len(event) > len(OF_ALL) + 2]
    for event in events:
        assert set(event) - ADDED_BY_RECEIVER == OF_ALL | FIELDS[event["type"]], event["type"]
    assert {event["type"] for event in events} >= set(FIELDS) - {"worker-heartbeat", "task-started"}


def test_secrets_among_results_are_masked(told: Monitor, name: str) -> None:
    id = run(name, login, "sesame", argsrepr="('********',)")

    event = told.event("task-succeeded", id)
    assert event["result"] == "{'password': '********', 'pin': '********', 'user': 'ada'}"
    assert "sesame" not in str(told.events)


def test_the_clock_goes_up_from_event_to_event(told: Monitor, name: str) -> None:
    run(name, add, 2, 3)
    told.event("task-succeeded", run(name, add, 2, 3))

    times = [event["clock"] for event in told.events]
    assert times == sorted(set(times))


def test_tasks_that_run_where_they_are_sent_are_not_told_of(told: Monitor, name: str) -> None:
    add.apply((2, 3))
    fail.apply()
    again.apply()
    last = run(name, add, 1, 1)
    told.event("task-succeeded", last)

    assert {event["uuid"] for event in told.events if event["type"].startswith("task-")} == {last}


def test_nothing_is_told_of_tasks_while_nobody_wants_it(told: Monitor, name: str, shared: Shared) -> None:
    shared.are_wanted = False
    run(name, add, 2, 3)
    shared.are_wanted = True
    last = run(name, add, 2, 3)
    told.event("task-succeeded", last)

    assert {event["uuid"] for event in told.events if event["type"].startswith("task-")} == {last}


def test_nothing_is_written_down_while_nobody_wants_it(
    silent: EventSender, name: str, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []
    monkeypatch.setattr(of_tasks, "saferepr", lambda value, **_: written.append(value))
    monkeypatch.setattr(of_tasks, "_shortened", written.append)
    shared.are_wanted = False

    with running([TaskEvents(silent, shared)]):
        for some, arguments in ((add, (2, 3)), (fail, ()), (again, ())):
            run(name, some, *arguments)

    assert written == []


def test_nobody_listens_any_more_after_the_end(silent: EventSender, shared: Shared) -> None:
    before = {id(signal): len(signal.receivers) for signal in _SIGNALS}

    with running([TaskEvents(silent, shared), TaskEvents(silent, shared)]):
        assert all(len(signal.receivers) == before[id(signal)] + 1 for signal in _SIGNALS)

    assert all(len(signal.receivers) == before[id(signal)] for signal in _SIGNALS)


# -- workers


def test_a_worker_is_online_and_alive_until_it_leaves(
    sender: EventSender, monitor: Monitor, shared: Shared
) -> None:
    board = Board(1, 2, uuid.uuid4().hex)
    seat = board.seats[0]
    seat.take(1)
    seat.sit(4711)
    seat.begin(0, "done")
    seat.end(0, b"", b"")
    seat.begin(1, "running")

    with running([sender]):
        heard(sender, monitor)
        with running([Heart(sender, board)]):
            monitor.event("worker-online")
            eventually(lambda: monitor.worker and monitor.worker.processed, "the first heartbeat")
            worker: CeleryWorker = monitor.worker
            assert worker.alive
            assert (worker.pid, worker.active, worker.processed) == (shared.pid, 1, 1)
            assert (worker.sw_ident, worker.freq) == ("django_tasks", 2.0)
            assert len(worker.loadavg) == 3

        monitor.event("worker-offline")
        eventually(lambda: not monitor.worker.alive, "it left")


def test_what_processes_that_are_gone_have_run_still_counts(silent: EventSender) -> None:
    board = Board(1, 1, uuid.uuid4().hex)
    heart = Heart(silent, board)
    seat = board.seats[0]
    for serial in (1, 2):
        seat.take(serial)
        seat.begin(0, "a")
        seat.end(0, b"", b"")
        assert heart.processed() == serial


def test_of_processes_that_are_gone_only_the_sum_is_kept(silent: EventSender) -> None:
    """A worker may replace them after every few tasks, for months."""
    board = Board(2, 1, uuid.uuid4().hex)
    heart = Heart(silent, board)
    for serial in range(1, 21):
        seat = board.seats[serial % 2]
        seat.take(serial)
        seat.begin(0, "a")
        seat.end(0, b"", b"")
        heart.processed()

    assert heart.processed() == 20
    assert sorted(heart.done) == sorted(seat.owner for seat in board.seats)


# -- a broker that is away


class Gate:
    """Connects to the broker while it is open."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_open = False

    def connect(self) -> kombu.Connection:
        if not self.is_open:
            raise ConnectionRefusedError("the broker is away")
        return kombu.Connection(self.url)


def test_events_wait_for_a_broker_that_is_away_and_the_oldest_are_dropped(
    url: str,
    name: str,
    monitor: Monitor,
    shared: Shared,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "MOST_WAITING", 5)
    knocker = EventSender(
        connect=lambda: connecting.connection(url, {}), hostname=name, pid=1, clock=shared.clock(1)
    )
    with running([knocker]):
        heard(knocker, monitor)
    gate = Gate(url)
    sender = EventSender(connect=gate.connect, hostname=name, pid=1, clock=shared.clock(0))

    for number in range(4):
        sender.send("task-started", uuid=str(number))
    first = sender.turn()
    for number in range(4, 8):
        sender.send("task-started", uuid=str(number))
    second = sender.turn()
    gate.is_open = True
    last = sender.turn()
    sender.say_the_last()

    assert first is not None
    assert second is not None
    assert last is None
    monitor.event("task-started", "7")
    assert [event["uuid"] for event in monitor.events if "uuid" in event] == ["3", "4", "5", "6", "7"]
    lines = [record.getMessage() for record in caplog.records if "django_tasks" in record.name]
    assert len([line for line in lines if "the broker is away" in line]) == 1
    assert "3 events were dropped" in lines[-1]


def test_a_broker_is_said_to_be_back_when_it_is(
    name: str, shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    """Also while there is nothing to send."""
    gate = Gate("memory://")
    sender = EventSender(connect=gate.connect, hostname=name, pid=1, clock=shared.clock(0))
    sender.line.broke(ConnectionResetError("the broker went"))

    while_away = [sender.turn(), sender.turn()]
    assert len(caplog.messages) == 1
    gate.is_open = True
    afterwards = sender.turn()
    sender.say_the_last()

    assert None not in while_away
    assert afterwards is None
    assert caplog.messages[1:] == ["The connection for events is back"]


def test_tasks_and_the_end_wait_for_no_broker(
    name: str, shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    """It accepts connections and says nothing, as a network that swallows everything."""
    caplog.set_level(logging.CRITICAL)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}//"
        sender = EventSender(
            connect=lambda: connecting.connection(url, {}), hostname=name, pid=1, clock=shared.clock(0)
        )
        with running([sender, TaskEvents(sender, shared)]):
            run(name, add, 2, 3)
            accepted, _ = silent.accept()
            ids = {run(name, add, 2, 3) for _ in range(100)}
        accepted.close()

    assert len(ids) == 100


def test_events_go_on_after_the_connection_was_reset(
    url: str, name: str, shared: Shared, monitor: Monitor
) -> None:
    with through_proxy(url) as proxy:
        sender = EventSender(
            connect=lambda: connecting.connection(proxy.url(url), {}),
            hostname=name,
            pid=1,
            clock=shared.clock(0),
        )
        with running([sender]):
            heard(sender, monitor)
            before = proxy.accepted
            proxy.reset_all()
            eventually(lambda: _again(sender, proxy.accepted > before), "another connection")
            sender.send("task-started", uuid="afterwards")
            monitor.event("task-started", "afterwards")


def _again(sender: EventSender, is_there: bool) -> bool:
    sender.send("worker-heartbeat", freq=2.0)
    return is_there


def test_events_go_on_after_the_broker_was_restarted(
    own_server: OwnServer, name: str, shared: Shared
) -> None:
    broker = own_server
    sender = EventSender(
        connect=lambda: connecting.connection(broker.url, {}), hostname=name, pid=1, clock=shared.clock(0)
    )
    with running([sender]):
        for _ in range(2):
            monitor = Monitor(broker.url, name)
            monitor.start()
            heard(sender, monitor)
            monitor.stop()
            broker.restart()


# -- the clock that processes share


def test_each_process_hears_the_clocks_of_the_others() -> None:
    shared = Shared(places=3)
    first, second = shared.clock(0), shared.clock(2)

    assert [first.tick(), second.tick(), second.tick(), first.tick()] == [1, 2, 3, 4]
    assert first.hear(100) == 101
    assert second.tick() == 102


@pytest.mark.parametrize("nonsense", [-1, LATEST, 10**30, "7", 1.5, None, [], True])
def test_a_clock_that_says_nonsense_is_not_believed(nonsense: object) -> None:
    clock = Shared(places=1).clock(0)

    assert clock.hear(nonsense) == 1


def test_threads_of_a_process_never_get_the_same_time() -> None:
    clock = Shared(places=1).clock(0)
    times: list[int] = []
    threads = [
        threading.Thread(target=lambda: times.extend(clock.tick() for _ in range(200))) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(times) == list(range(1, 801))
