"""Remote control: Celery's own `inspect` and `control` ask, and ours answers; strangers change nothing."""

from __future__ import annotations

import json
import logging
import pickle
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import celery
import kombu
import pytest
from django.test import override_settings

from django_tasks.brokers import connecting
from django_tasks.exceptions import TasksError
from django_tasks.service import Loop, running
from django_tasks.worker.board import Board
from django_tasks.worker.events.of_worker import Heart
from django_tasks.worker.events.sender import EventSender
from django_tasks.worker.events.shared import Shared
from django_tasks.worker.housekeeper import Housekeeper
from django_tasks.worker.line import Line
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.pidbox import Pidbox, read
from tests.proxy import Proxy, through_proxy
from tests.services import Redis
from tests.worker.monitors import Monitor
from tests.workers import eventually


class Obedient:
    """Stands for the commands: notes what it was told, and answers as it is set to."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any], Any]] = []
        self.answers: dict[str, Any] = {"ping": {"ok": "pong"}, "registered": ["shop.tasks.add"]}

    def __call__(self, name: str, arguments: Mapping[str, Any], worker: Any) -> object:
        if name == "ping":
            return self.answers[name]
        self.told.append((name, dict(arguments), worker))
        answer = self.answers.get(name, {"ok": name})
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def commands() -> Obedient:
    return Obedient()


@pytest.fixture
def pidbox(url: str, name: str, commands: Obedient, shared: Shared, sender: EventSender) -> Pidbox:
    return Pidbox(
        connect=lambda: connecting.connection(url, {}),
        hostname=name,
        run=commands,
        worker="this worker",
        shared=shared,
        clock=shared.clock(1),
        heart=Heart(sender, Board(1, 1, uuid.uuid4().hex)),
    )


@pytest.fixture
def app(url: str) -> Iterator[celery.Celery]:
    app = celery.Celery("operator", broker=url, set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def listening(pidbox: Pidbox, app: celery.Celery, name: str) -> Iterator[Pidbox]:
    loop = Loop(pidbox.turn, name="remote control", interval=0, on_end=pidbox.close)
    with running([loop]):
        eventually(lambda: ping(app, name), "it listens")
        yield pidbox


def ping(app: celery.Celery, name: str) -> Any:
    return inspect(app, name, timeout=0.2).ping()


def inspect(app: celery.Celery, name: str, timeout: float = 10.0) -> Any:
    # Destinations bound how many answers are waited for.
    return app.control.inspect(destination=[name], timeout=timeout)


def test_ping_is_answered_as_celery_s_workers_do(listening: Pidbox, app: celery.Celery, name: str) -> None:
    assert inspect(app, name).ping() == {name: {"ok": "pong"}}
    assert app.control.ping(destination=[name], timeout=10) == [{name: {"ok": "pong"}}]


def test_commands_and_their_arguments_arrive(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient
) -> None:
    assert inspect(app, name).registered("rate_limit") == {name: ["shop.tasks.add"]}
    app.control.revoke("the-id", terminate=True, destination=[name], reply=True, timeout=10)
    app.control.rate_limit("shop.tasks.add", "10/m", destination=[name], reply=True, timeout=10)

    assert [(command, worker) for command, _, worker in commands.told] == [
        ("registered", "this worker"),
        ("revoke", "this worker"),
        ("rate_limit", "this worker"),
    ]
    _, revoke, rate = (arguments for _, arguments, _ in commands.told)
    assert (revoke["task_id"], revoke["terminate"]) == ("the-id", True)
    assert rate == {"task_name": "shop.tasks.add", "rate_limit": "10/m"}


def test_a_command_that_nobody_waits_for_is_obeyed_without_an_answer(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient
) -> None:
    app.control.shutdown(destination=[name])

    eventually(lambda: commands.told, "it arrived")
    assert commands.told[0][0] == "shutdown"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (TasksError("No worker knows it. Ask for another."), "No worker knows it. Ask for another."),
        (ValueError("that is no rate"), "that is no rate"),
        (RuntimeError("bang"), "RuntimeError('bang')"),
    ],
)
def test_what_goes_wrong_is_answered_and_told_in_the_log(
    listening: Pidbox,
    app: celery.Celery,
    name: str,
    commands: Obedient,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    answer: str,
) -> None:
    commands.answers["stats"] = error

    assert inspect(app, name).stats() == {name: {"error": answer}}
    assert "stats" in caplog.text
    assert ping(app, name)


def test_an_answer_that_cannot_be_written_is_an_error(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient
) -> None:
    commands.answers["stats"] = {"ok": object()}

    assert "error" in inspect(app, name).stats()[name]


def test_it_answers_only_what_it_is_asked(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient
) -> None:
    host = name.partition("@")[0]
    ask = app.control.mailbox

    with app.connection_for_write() as connection:
        bound = ask(connection)
        bound._broadcast("other", destination=["somebody@else"])
        bound._broadcast("glob", pattern="nobody*", matcher="glob")
        bound._broadcast("pcre", pattern="nobody.*", matcher="pcre")
        bound._broadcast("mine", pattern=f"{host}*", matcher="glob")
        bound._broadcast("mine too", pattern=f"^{host}@", matcher="pcre")
        bound._broadcast("last", destination=[name])

    eventually(lambda: commands.told[-1:] and commands.told[-1][0] == "last", "the last one arrived")
    assert [command for command, _, _ in commands.told] == ["mine", "mine too", "last"]


def test_events_of_tasks_are_switched_off_and_on(
    listening: Pidbox, app: celery.Celery, name: str, shared: Shared
) -> None:
    def switch(method: Callable[..., Any]) -> str:
        return str(method(destination=[name], reply=True, timeout=10)[0][name]["ok"])

    answers = [switch(app.control.enable_events)]
    answers += [switch(app.control.disable_events), str(shared.are_wanted)]
    answers += [switch(app.control.disable_events)]
    answers += [switch(app.control.enable_events), str(shared.are_wanted)]

    assert answers == [
        "task events already enabled",
        *("task events disabled", "False"),
        "task events already disabled",
        *("task events enabled", "True"),
    ]


def test_a_heartbeat_comes_when_it_is_asked_for(
    listening: Pidbox, app: celery.Celery, name: str, url: str, sender: EventSender
) -> None:
    monitor = Monitor(url, name)
    monitor.start()
    with running([sender]):

        def ask() -> bool:
            app.control.heartbeat(destination=[name])
            return bool(monitor.events)

        eventually(ask, "a heartbeat")
    monitor.stop()

    assert monitor.events[0]["type"] == "worker-heartbeat"


def test_a_worker_that_begins_is_greeted(listening: Pidbox, app: celery.Celery, name: str) -> None:
    answer = inspect(app, name).hello("other@host", revoked={"an-id": 1.0})

    assert answer[name]["revoked"] == []
    assert answer[name]["clock"] > 0


HOSTILE: dict[str, Any] = {
    "a number": 42,
    "nothing": None,
    "a text": "ping",
    "a list": [{"method": "evil"}],
    "an empty object": {},
    "a method that is a list": {"method": ["evil"]},
    "a method that is long": {"method": "e" * 1000},
    "arguments that are a list": {"method": "evil", "arguments": [1, 2]},
    "a destination that is a number": {"method": "evil", "destination": 7},
    "a pattern that is none": {"method": "evil", "pattern": "(", "matcher": "pcre"},
    "a pattern that is a list": {"method": "evil", "pattern": ["*"], "matcher": "glob"},
    "an unknown matcher": {"method": "evil", "pattern": "x", "matcher": "nobody knows"},
    "a reply to a number": {"method": "evil", "reply_to": 7},
    "a reply to nowhere": {"method": "evil", "reply_to": {}},
    "a reply to a long key": {"method": "evil", "reply_to": {"routing_key": "k" * 256}},
    "a ticket that is an object": {"method": "evil", "ticket": {}},
    "nested lists": json.loads("[" * 500 + "]" * 500),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_command_is_not_read_as_one(body: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        read(body, "worker@host")


def test_what_is_for_others_or_for_nobody_is_not_for_us() -> None:
    assert read({"method": "evil", "destination": ["somebody@else"]}, "worker@host") is None
    assert read({"method": "evil", "destination": [{}, None]}, "worker@host") is None


def test_what_is_no_command_changes_nothing(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient, url: str
) -> None:
    for body in HOSTILE.values():
        throw(url, body, serializer="json")

    assert inspect(app, name).ping() == {name: {"ok": "pong"}}
    assert commands.told == []


UNREADABLE: list[tuple[bytes, dict[str, Any]]] = [
    (pickle.dumps({"method": "evil"}), {"content_type": "application/x-python-serialize"}),
    (b"\xff\xfe{", {"content_type": "application/json", "content_encoding": "utf-8"}),
    (b'{"method": ', {"content_type": "application/json", "content_encoding": "utf-8"}),
    (b"{}", {"content_type": "application/json", "content_encoding": "no such"}),
    (b"{}", {"content_type": "text/html", "content_encoding": "utf-8"}),
    (b"[" * 100_000, {"content_type": "application/json", "content_encoding": "utf-8"}),
    (
        zlib.compress(b" " * 100_000_000 + b'{"method": "evil"}'),
        {"content_type": "application/json", "headers": {"compression": "application/x-gzip"}},
    ),
    (
        zlib.compress(b'{"method": "evil"}')[:-4],
        {"content_type": "application/json", "headers": {"compression": "application/x-gzip"}},
    ),
    (b'{"method": 1}', {"content_type": "application/json", "headers": {"clock": "late"}}),
    (b'{"method": 1}', {"content_type": "application/json", "headers": {"clock": 2**62}}),
]


def test_what_cannot_be_read_changes_nothing(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient, shared: Shared, url: str
) -> None:
    for body, about in UNREADABLE:
        throw(url, body, **{"content_encoding": "binary", **about})

    assert inspect(app, name).ping() == {name: {"ok": "pong"}}
    assert commands.told == []
    assert shared.clock(0).tick() < 1000


def throw(url: str, body: Any, **about: Any) -> None:
    """Send something to all workers."""
    with kombu.Connection(url) as connection:
        exchange = kombu.Exchange("celery.pidbox", type="fanout", durable=False, delivery_mode=1)
        kombu.Producer(connection.channel()).publish(body, exchange=exchange, declare=[exchange], **about)


@pytest.mark.parametrize("shared_server", ["redis"], indirect=True)
@pytest.mark.redis
def test_what_is_no_message_of_kombu_s_changes_nothing(
    listening: Pidbox, app: celery.Celery, name: str, commands: Obedient, redis_server: Redis
) -> None:
    """Only on Redis can anybody write such."""
    database = redis_server.url.rpartition("/")[2]
    for text in ("", "rubbish", "42", "[]", "{}", '{"properties": 1}', '{"properties": {}}'):
        with redis_server.client() as client:
            client.publish(f"/{database}.celery.pidbox", text)

    assert inspect(app, name).ping() == {name: {"ok": "pong"}}
    assert commands.told == []


@pytest.mark.parametrize("shared_server", ["rabbitmq"], indirect=True)
@pytest.mark.rabbitmq
def test_a_name_that_is_taken_is_said_to_be(
    listening: Pidbox,
    name: str,
    commands: Obedient,
    shared: Shared,
    url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = Pidbox(
        connect=lambda: connecting.connection(url, {}),
        hostname=name,
        run=commands,
        worker=None,
        shared=shared,
        clock=shared.clock(0),
    )

    pauses = [other.turn(), other.turn()]
    other.close()

    assert all(pause > 0 for pause in pauses)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert lines == [f"Remote control: another worker is called {name}. Start this one with another --name."]


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with through_proxy(url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: Proxy, pidbox: Pidbox, app: celery.Celery, name: str, url: str) -> Iterator[Pidbox]:
    """It listens through a network that can be broken; the operator has one that works."""
    pidbox.line = Line(lambda: connecting.connection(proxy.url(url), {}), name="remote control")
    loop = Loop(pidbox.turn, name="remote control", interval=0, on_end=pidbox.close)
    with running([loop]):
        eventually(lambda: ping(app, name), "it listens")
        yield pidbox


def test_it_listens_again_when_the_connection_was_reset(
    through: Pidbox, proxy: Proxy, app: celery.Celery, name: str
) -> None:
    proxy.reset_all()
    before = proxy.accepted

    eventually(lambda: proxy.accepted > before, "another connection")
    eventually(lambda: ping(app, name), "it listens again")


@pytest.mark.parametrize("shared_server", ["rabbitmq"], indirect=True)
@pytest.mark.rabbitmq
def test_a_network_that_swallows_everything_is_noticed(through: Pidbox, proxy: Proxy) -> None:
    """AMQP's heartbeats stay away."""
    proxy.hold()

    eventually(lambda: through.line.is_down, "it is noticed")


def test_the_end_does_not_wait_for_a_network_that_swallows_everything(
    pidbox: Pidbox, proxy: Proxy, url: str
) -> None:
    pidbox.line = Line(lambda: connecting.connection(proxy.url(url), {}), name="remote control")
    pidbox.turn()
    proxy.hold()

    pidbox.close()

    assert not pidbox.line.is_open


def test_a_broker_that_is_away_is_told_of_once(
    name: str, commands: Obedient, shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    pidbox = Pidbox(
        connect=lambda: kombu.Connection("redis://127.0.0.1:1/0"),
        hostname=name,
        run=commands,
        worker=None,
        shared=shared,
        clock=shared.clock(0),
    )

    pauses = [pidbox.turn() for _ in range(3)]

    assert all(pause > 0 for pause in pauses)
    assert len([line for line in caplog.messages if "remote control failed" in line]) == 1


@override_settings(DJANGO_TASKS={"BROKER_URL": "redis://127.0.0.1:1/0", "WORKER_LEASE": 1.0})
def test_a_worker_whose_broker_stays_away_is_no_less_live() -> None:
    board = Board(1, 1, uuid.uuid4().hex)
    options = WorkerOptions(queues=("default",), processes=1, events=True)
    housekeeper = Housekeeper(options=options, board=board, pid=1)
    (loop,) = (one for one in housekeeper.loops if isinstance(one, Loop) and one.name == "remote control")
    (pulse,) = (pulse for pulse in board.pulses if pulse.name == "remote control")

    pauses = [loop.turn() or 0.0 for _ in range(8)]

    longest_turn = connecting.CONNECT_TIMEOUT + connecting.ANSWER_TIMEOUT
    assert all(pauses)
    assert max(pauses) + longest_turn < pulse.may_be_silent
