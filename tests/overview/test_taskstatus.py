"""`manage.py taskstatus`: for people, for programs, and for probes."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from django_tasks.management.commands import taskstatus

from .conftest import Make, ago

pytestmark = pytest.mark.django_db


def told(*arguments: str) -> tuple[int, str]:
    """The exit status and the output."""
    out = io.StringIO()
    try:
        call_command("taskstatus", *arguments, stdout=out)
    except SystemExit as exited:
        return int(exited.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_while_all_is_well_it_exits_with_0(make_worker: Make, make_end: Make) -> None:
    make_worker()
    make_end()

    status, text = told()

    assert status == 0
    assert "Last 24 h: 1 succeeded, 0 failed." in text
    assert "worker@web-1  online" in text


def test_if_something_should_be_looked_at_it_exits_with_1(make_worker: Make, make_message: Make) -> None:
    make_worker()
    make_message(sent_at=ago(400))

    status, text = told()

    assert status == 1
    assert text.startswith("warning: The oldest message of queue default has waited for 6 min.")


def test_if_tasks_are_not_being_run_it_exits_with_2(make_message: Make) -> None:
    make_message()

    status, text = told()

    assert status == 2
    assert text.startswith("CRITICAL: No worker runs.")


def test_what_is_too_long_is_for_the_caller_to_say(make_worker: Make, make_message: Make) -> None:
    make_worker()
    make_message(sent_at=ago(400))

    assert told("--max-waiting", "1000")[0] == 0


@pytest.mark.parametrize("wrong", ["-1", "soon", "nan", "inf"])
def test_what_is_no_time_is_refused(wrong: str) -> None:
    with pytest.raises(CommandError, match="is not a number of seconds"):
        call_command("taskstatus", f"--max-paused={wrong}")


def test_programs_are_told_the_same_as_json(make_worker: Make, make_message: Make, make_end: Make) -> None:
    # Given
    make_worker()
    make_message(sent_at=ago(400))
    make_end()

    # When
    status, text = told("--json")

    # Then
    found = json.loads(text)
    assert (status, found["level"]) == (1, "warning")
    assert found["notices"][0]["code"] == "queue_slow"
    assert found["queues"][0]["waiting"] == {"count": 1, "is_capped": False}
    assert found["last_24_hours"]["succeeded"] == 1
    assert found["last_hour"]["run_seconds"]["p50"] == pytest.approx(2, rel=1)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_database_that_is_away_is_critical(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("no route to host")

    monkeypatch.setattr(taskstatus, "state_now", away)

    status, text = told(*options)

    assert status == 2
    assert "no route to host" in text
