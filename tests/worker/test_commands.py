"""What running workers can be asked (Celery's remote control), through the database."""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_tasks import Task, app, clock
from django_tasks.exceptions import UnknownCommand
from django_tasks.models import TaskResult, Worker, WorkerCommand
from django_tasks.results import retention
from django_tasks.worker import commands
from django_tasks.worker.board import Board
from django_tasks.worker.commands import Addressee
from django_tasks.worker.control import Control
from django_tasks.worker.options import WorkerOptions
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, note
from tests.threads import Errand
from tests.workers import PATIENCE, Start, eventually

OPTIONS = WorkerOptions(queues=("default", "other"), processes=1, hostname="here")


def there(number: int = 1) -> None:
    eventually(lambda: Worker.objects.count() == number, "the workers")


def living(name: str) -> Worker:
    """The row of a worker that is believed to be alive and does nothing."""
    now = clock.to_storage(clock.now())
    return Worker.objects.create(
        id=uuid.uuid4().hex, name=name, hostname="h", pid=1, queues="default", processes=1, threads=1,
        version="1", started_at=now, lease_until=now + dt.timedelta(hours=1),
    )  # fmt: skip


# -- asking running workers


@pytest.mark.worker
def test_a_running_worker_answers(start_worker: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = start_worker("--processes=2", "--queues=default,other", "--name=one")
    there()
    name = Worker.objects.get().name
    sent = hold.delay(str(gate))
    eventually(lambda: Entry.objects.exists(), "the body runs")

    inspect = app.control.inspect(timeout=PATIENCE)
    assert app.control.ping(timeout=PATIENCE) == [{name: {"ok": "pong"}}]
    assert name.startswith("one@")
    assert inspect.ping() == {name: {"ok": "pong"}}
    (task,) = inspect.active()[name]
    assert (task["id"], task["name"], task["hostname"]) == (sent.id, hold.name, name)
    assert task["args"] == f"({str(gate)!r},)"
    assert task["delivery_info"]["routing_key"] == "default"
    assert task["worker_pid"] == Entry.objects.get().pid
    assert 0 <= clock.now().timestamp() - task["time_start"] < PATIENCE
    assert inspect.query_task(sent.id, "unknown")[name][sent.id][0] == "active"
    assert inspect.reserved() == inspect.scheduled() == inspect.revoked() == {name: []}
    assert note.name in inspect.registered()[name]
    stats = inspect.stats()[name]
    assert stats["pid"] == worker.process.pid
    assert sorted(stats["pool"]["processes"]) == sorted(worker.children()[1:])
    assert (stats["pool"]["max-concurrency"], stats["broker"]["transport"]) == (2, "django")
    assert [queue["name"] for queue in inspect.active_queues()[name]] == ["default", "other"]
    assert inspect.conf()[name]["TASK_QUEUES"] == ["other", "third"]
    assert "kombu" in inspect.report()[name]["ok"]

    gate.touch()
    assert sent.get(timeout=PATIENCE) == "through"
    eventually(lambda: inspect.stats()[name]["total"] == {"all": 1}, "it is counted")


@pytest.mark.worker
def test_who_is_named_is_asked_and_namesakes_are_told_apart(start_worker: Start) -> None:
    start_worker("--processes=1", "--name=one")
    start_worker("--processes=1", "--name=two")
    start_worker("--processes=1", "--name=two")
    there(3)
    names = sorted(set(Worker.objects.values_list("name", flat=True)))
    ids = sorted(Worker.objects.filter(name=names[1]).values_list("id", flat=True))

    ask = app.control.inspect(timeout=PATIENCE)
    assert sorted(ask.ping() or {}) == [names[0], *(f"{names[1]}#{id[:8]}" for id in ids)]
    assert list(ask.ping([names[0]]) or {}) == [names[0]]
    assert app.control.inspect(names[0], timeout=PATIENCE).ping() == {names[0]: {"ok": "pong"}}
    assert app.control.inspect(["nobody@here"]).ping() is None


@pytest.mark.worker
@pytest.mark.parametrize("size", ["--processes=1", "--processes=0"])
def test_who_is_asked_to_end_ends_in_peace(start_worker: Start, size: str) -> None:
    one = start_worker(size, "--name=one")
    two = start_worker("--processes=1", "--name=two")
    there(2)
    name = Worker.objects.get(name__startswith="one@").name

    assert app.control.shutdown([name]) == 1

    assert one.wait() == 0
    assert two.process.poll() is None
    assert [list(answer) for answer in app.control.ping(timeout=PATIENCE)] == [[Worker.objects.get().name]]
    assert WorkerCommand.objects.get(method="shutdown").answered_at is not None


@pytest.mark.worker
def test_nonsense_is_answered_with_what_to_do_and_the_worker_goes_on(start_worker: Start) -> None:
    start_worker("--processes=1")
    there()

    def ask(command: str, **arguments: Any) -> str:
        (answer,) = app.control.broadcast(command, arguments, reply=True, timeout=PATIENCE) or []
        return str(next(iter(answer.values()))["error"])

    assert "Did you mean 'stats'?" in ask("stat")
    assert "pause_queue" in ask("cancel_consumer", queue="default")
    assert "no.such" in ask("rate_limit", task_name="no.such", rate_limit="1/s")
    assert "rate limit" in ask("rate_limit", task_name=note.name, rate_limit="often")
    assert "Correct them" in ask("query_task")
    assert note.delay(1).get(timeout=PATIENCE) == 1


@pytest.mark.django_db
def test_where_nobody_is_nobody_is_waited_for() -> None:
    assert app.control.ping(timeout=PATIENCE * 100) == []
    assert app.control.inspect(timeout=PATIENCE * 100).stats() is None
    assert app.control.shutdown() == 0
    assert app.control.broadcast("ping") is None


@pytest.mark.django_db(transaction=True)
def test_who_does_not_answer_is_left_out_when_the_time_is_up() -> None:
    living("mute@h")

    assert app.control.ping(timeout=0.1) == []
    assert WorkerCommand.objects.all().unanswered().count() == 1


@pytest.mark.django_db(transaction=True)
def test_containers_that_are_alike_in_name_and_process_id_are_told_apart() -> None:
    ids = [living("twin@h").id for _ in range(2)]
    asked = Errand(lambda: app.control.ping(timeout=PATIENCE))
    eventually(lambda: WorkerCommand.objects.count() == 2, "the question")

    for command in WorkerCommand.objects.all():
        WorkerCommand.objects.all().answer(command.id, {"ok": "pong"})

    told = {name for answer in asked.result() for name in answer}
    assert told == {f"twin@h#{id[:8]}" for id in ids}


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_one_can_tell_but_not_ask() -> None:
    living("one@h")

    with transaction.atomic():
        with pytest.raises(RuntimeError, match="after the transaction"):
            app.control.ping()
        assert app.control.rate_limit(note.name, "1/h") == 1

    assert WorkerCommand.objects.get().arguments == {"task_name": note.name, "rate_limit": "1/h"}


# -- what a worker does with it, without one


class Ledge:
    """A worker's board with one task process that does nothing by itself."""

    def __init__(self) -> None:
        self.board = Board(1, 2, uuid.uuid4().hex, OPTIONS.queues)
        (self.seat,) = self.board.seats
        self.seat.take(1)
        self.seat.sit(os.getpid())
        self.control = Control(board=self.board, options=OPTIONS, supervisor=os.getpid())

    def ask(self, name: str, **arguments: Any) -> Any:
        """What it answers, as others read it."""
        return json.loads(json.dumps(commands.run(name, arguments, self.control.addressee)))

    def given(self, method: str, **arguments: Any) -> int:
        (id,) = WorkerCommand.objects.all().ask([self.board.worker_id], method, arguments)
        return id


@pytest.fixture
def ledge() -> Ledge:
    return Ledge()


@pytest.mark.django_db
def test_what_is_claimed_and_has_not_begun_is_reserved(ledge: Ledge) -> None:
    runs, waits, free = note.bulk([(1,), (2,), (3,)])
    TaskResult.objects.claim([runs.id, waits.id], ledge.seat.owner)
    ledge.seat.begin(0, runs.id)
    ledge.seat.begin(1, "without a row")

    assert [task["id"] for task in ledge.ask("reserved")] == [waits.id]
    assert [(task["id"], task["name"]) for task in ledge.ask("active")] == [
        (runs.id, note.name),
        ("without a row", None),
    ]
    found = ledge.ask("query_task", ids=[runs.id, waits.id, free.id])
    assert {id: state for id, (state, _) in found.items()} == {runs.id: "active", waits.id: "reserved"}


@pytest.mark.django_db
def test_celerys_other_names_of_a_question_are_understood(ledge: Ledge) -> None:
    for other, name in commands._OTHER_NAMES.items():
        assert ledge.ask(other) == ledge.ask(name)


@pytest.mark.django_db
@pytest.mark.usefixtures("own_tasks")
def test_what_is_registered_can_be_told_with_options(ledge: Ledge) -> None:
    told = ledge.ask("registered", taskinfoitems=["rate_limit", "nonsense", "__class__"])

    assert "tests.ledger.tasks.spaced [rate_limit='10/s']" in told
    assert note.name in told
    assert "celery.ping" not in " ".join(told)
    assert "celery.map" in ledge.ask("registered", builtins=True)


@pytest.mark.usefixtures("own_tasks")
def test_nothing_that_a_project_wrote_is_called_to_tell_what_is_registered(ledge: Ledge) -> None:
    looked = []

    class Report(Task[[], None]):
        name = "commands.report"
        queue = "other"

        @property
        def db(self) -> str:
            looked.append("db")
            return "connected"

        def run(self) -> None: ...

    Report()

    told = ledge.ask("registered", taskinfoitems=["queue", "db"])

    assert looked == []
    assert "commands.report [queue='other']" in told


@pytest.mark.django_db
def test_tasks_are_revoked_for_everybody(ledge: Ledge) -> None:
    one, two = note.bulk([(1,), (2,)])

    assert ledge.ask("revoke", task_id=one.id, terminate=False, signal="SIGTERM") == {
        "ok": f"tasks {one.id} flagged as revoked"
    }
    ledge.ask("terminate", signal="SIGKILL", task_id=[two.id])

    assert {one.state, two.state} == {"REVOKED"}
    assert sorted(ledge.ask("revoked")) == sorted([one.id, two.id])


@pytest.mark.django_db
def test_a_password_is_told_to_nobody(ledge: Ledge) -> None:
    told = {
        "BROKER_URL": "amqp://ada:hush@one//;amqp://ada:hush@two//",
        "BROKER_TRANSPORT_OPTIONS": {"login": {"password": "hush"}, "region": "north"},
        "TASK_ROUTES": [{"a.*": "mail"}, print],
    }
    with override_settings(DJANGO_TASKS=told):
        answer = ledge.ask("conf")
        report = ledge.ask("report")

    assert "hush" not in json.dumps([answer, report])
    assert answer["BROKER_TRANSPORT_OPTIONS"]["region"] == "north"
    assert "amqp://ada:**@two//" in answer["BROKER_URL"]


@pytest.mark.django_db
def test_only_what_the_project_says_is_told_without_defaults(ledge: Ledge) -> None:
    with override_settings(DJANGO_TASKS={"MAX_CRASHES": 7}):
        assert ledge.ask("conf", with_defaults=False) == {"MAX_CRASHES": 7, "BROKER_URL": "django://"}


def test_what_no_worker_knows_is_refused_with_what_it_knows(ledge: Ledge) -> None:
    with pytest.raises(UnknownCommand, match=r"active, active_queues, .*terminate\."):
        ledge.ask("objgraph")
    for name in commands.INSTEAD:
        with pytest.raises(ValueError, match=f"{name} is not for these workers"):
            ledge.ask(name)


@pytest.mark.django_db
@pytest.mark.usefixtures("steady_statements")
def test_a_look_at_a_worker_of_which_nothing_is_wanted_is_one_query(ledge: Ledge) -> None:
    ledge.control.look()  # which asks the database for its time

    with CaptureQueriesContext(connection) as asked:
        assert not ledge.control.look()

    assert len(asked) == 1


@pytest.mark.django_db
def test_a_command_that_fails_does_not_keep_the_next_one_waiting(
    ledge: Ledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(worker: Addressee, **_: object) -> object:
        raise ZeroDivisionError("bang")

    monkeypatch.setitem(commands.COMMANDS, "stats", explode)
    first, second = ledge.given("stats"), ledge.given("ping")

    assert ledge.control.look()

    assert WorkerCommand.objects.all().answers([first]) == {ledge.board.worker_id: {"error": "bang"}}
    assert WorkerCommand.objects.all().answers([second]) == {ledge.board.worker_id: {"ok": "pong"}}


@pytest.mark.django_db
def test_what_could_not_be_answered_is_answered_later_and_not_done_again(
    ledge: Ledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: ended.append(pid))
    id = ledge.given("shutdown")
    kind = type(WorkerCommand.objects.all())
    with monkeypatch.context() as away:
        away.setattr(kind, "answer", fail)
        with pytest.raises(OperationalError):
            ledge.control.look()

    ledge.control.look()

    assert ended == [os.getpid()]
    assert WorkerCommand.objects.all().answers([id]) == {ledge.board.worker_id: {"ok": "ending"}}


def fail(*_: object) -> None:
    raise OperationalError("away")


@pytest.mark.django_db
def test_commands_of_long_ago_are_deleted(ledge: Ledge) -> None:
    ledge.given("ping")
    kept = ledge.given("ping")
    old = clock.to_storage(clock.now() - dt.timedelta(seconds=retention.COMMANDS_KEPT + 60))
    WorkerCommand.objects.exclude(id=kept).update(asked_at=old)

    assert retention.prune_commands() == 1
    assert WorkerCommand.objects.get().id == kept
