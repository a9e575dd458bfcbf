"""`manage.py taskqueues`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json

import pytest
from django.core.management import call_command

from django_tasks import app
from django_tasks.dispatch.depths import depths
from django_tasks.management.commands import taskqueues
from tests.ledger.tasks import elsewhere, note

pytestmark = pytest.mark.django_db


def shown(*arguments: str) -> str:
    output = io.StringIO()
    call_command("taskqueues", *arguments, stdout=output)
    return output.getvalue()


def test_wrk_07_the_queues_are_shown_as_a_table() -> None:
    note.bulk([(number,) for number in range(12)])
    app.control.pause_queue("other", "repairs")
    app.control.pause_queue("third")

    assert [line.split() for line in shown().splitlines()] == [
        ["queue", "ready", "later", "running", "aside", "workers", "paused"],
        ["default", "12", "0", "0", "0", "0"],
        ["other", "0", "0", "0", "0", "0", "repairs"],
        ["third", "0", "0", "0", "0", "0", "yes"],
    ]


def test_a_number_that_the_broker_does_not_tell_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    (first, *_) = depths()
    monkeypatch.setattr(taskqueues, "depths", lambda: [dataclasses.replace(first, ready=None)])

    assert shown().splitlines()[1].split() == ["default", "?", "0", "0", "0", "0"]


def test_wrk_07_programs_read_json() -> None:
    elsewhere.delay(1)

    found = {queue["queue"]: queue for queue in json.loads(shown("--json"))}

    assert dt.datetime.fromisoformat(found["other"].pop("oldest")).utcoffset() == dt.timedelta(0)
    assert found["other"] == {
        "queue": "other", "ready": 1, "parked": 0, "aside": 0, "running": 0, "begun": 0, "is_paused": False,
        "reason": "", "paused_at": None, "paused_until": None, "paused_by": "", "workers": [], "slots": 0,
        "is_declared": True,
    }  # fmt: skip
    assert list(found) == ["default", "other", "third"]
