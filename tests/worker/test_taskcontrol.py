"""`manage.py taskcontrol`."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from django_tasks import app
from django_tasks.management.commands.taskcontrol import QUESTIONS
from django_tasks.models import Worker
from tests.ledger.tasks import note
from tests.workers import Start, eventually


def said(*arguments: str) -> str:
    output = io.StringIO()
    call_command("taskcontrol", *arguments, stdout=output, stderr=io.StringIO())
    return output.getvalue().strip()


@pytest.mark.worker
def test_a_worker_is_asked_and_ended(start_worker: Start) -> None:
    worker = start_worker("--processes=1")
    eventually(lambda: Worker.objects.exists(), "a worker")
    name = Worker.objects.get().name

    assert said("ping", "--timeout=45") == f"{name}: pong"
    assert json.loads(said("inspect", "stats", "-t=45"))[name]["pid"] == worker.process.pid
    assert json.loads(said("inspect", "query_task", "unknown", "-t=45")) == {name: {}}
    assert said("rate_limit", note.name, "5/m", "-d", name) == "1 workers were told."
    assert said("shutdown", "-d", name) == "1 workers were asked to end."
    assert worker.wait() == 0


@pytest.mark.django_db
def test_it_is_an_error_if_nobody_answers_a_ping() -> None:
    with pytest.raises(SystemExit) as ended:
        said("ping")

    assert ended.value.code == 1
    assert said("inspect", "active") == "null"


@pytest.mark.django_db
def test_queues_are_paused_resumed_and_purged() -> None:
    waiting = note.bulk([(1,), (2,)])

    assert said("pause", "default", "--reason=repairs") == "Queue default is paused."
    assert said("pause", "default") == "Queue default is paused, as it was."
    assert list(app.control.paused_queues()) == ["default"]
    assert said("resume", "default") == "Queue default is served again."
    assert said("resume", "default") == "Queue default was not paused."
    assert said("revoke", waiting[0].id) == "1 tasks that had not begun were revoked."
    assert said("purge", "default") == "2 messages were thrown away."
    assert {result.state for result in waiting} == {"REVOKED"}


@pytest.mark.django_db
def test_a_pause_may_have_an_end() -> None:
    said("pause", "default", "--until=2100-01-01T06:00Z")
    said("pause", "other", "--until=2000-01-01T06:00")

    assert list(app.control.paused_queues()) == ["default"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "mistake",
    [
        ("pause", "default", "--until=soon"),
        ("pause", "othr"),
        ("purge", "othr"),
        ("rate_limit", "no.such", "1/s"),
        ("inspect", "stats", "one"),
        ("inspect", "conf", "one"),
        ("inspect", "ping", "worker@here"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(mistake: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        said(*mistake)


def test_every_question_can_be_asked() -> None:
    inspect = app.control.inspect()

    assert all(callable(getattr(inspect, question)) for question in QUESTIONS)
