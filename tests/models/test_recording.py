"""One suite over all ways to record many changes at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.models import TaskResult, recording
from django_tasks.models.result import Change

NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=2.5)


WAYS = sorted({"upsert", "many", recording.WAYS[connection.vendor].__name__})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `record` use the way that the test is run with."""
    monkeypatch.setitem(recording.WAYS, connection.vendor, getattr(recording, request.param))


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("way")]


def rows(*ids: str, owner: str | None = "me", **fields: Any) -> None:
    made = {
        "task": "t",
        "queue": "default",
        "message": "{}",
        "created_at": clock.to_storage(NOW),
        "claimed_by": owner,
    }
    TaskResult.objects.insert([TaskResult(id=id, **made | fields) for id in ids])


def record(*changes: Change, owner: str = "me") -> set[str]:
    return TaskResult.objects.all().record(changes, owner)


def success(id: str, result: str = "1", **more: Any) -> Change:
    return Change(id=id, status="SUCCESS", result=result, finished_at=LATER, **more)


def get(id: str) -> TaskResult:
    return TaskResult.objects.get(id=id)


def test_everything_a_change_says_is_written_and_the_row_has_no_owner_any_more() -> None:
    rows("a")

    written = record(success("a", "[1]", traceback="at line 5", worker="w@h", started_at=NOW))

    row = get("a")
    assert written == {"a"}
    assert (row.status, row.result, row.traceback, row.worker) == ("SUCCESS", "[1]", "at line 5", "w@h")
    assert (clock.from_storage(row.started_at), clock.from_storage(row.finished_at)) == (NOW, LATER)
    assert row.claimed_by is None


def test_what_a_change_does_not_speak_of_stays() -> None:
    rows("a", task="my.task", queue="q", priority=4, args="(1,)", kwargs="{}", message="text", crashes=2)

    record(success("a"))

    row = get("a")
    assert (row.task, row.queue, row.priority, row.args) == ("my.task", "q", 4, "(1,)")
    assert (row.kwargs, row.message, row.crashes) == ("{}", "text", 2)
    assert clock.from_storage(row.created_at) == NOW


def test_what_is_not_known_is_null() -> None:
    rows("a")

    record(Change(id="a", status="REVOKED"))

    row = get("a")
    assert (row.result, row.traceback, row.started_at, row.finished_at) == (None, None, None, None)


def test_a_started_task_keeps_its_owner() -> None:
    rows("a")

    record(Change(id="a", status="STARTED", owner="me", started_at=NOW))

    assert (get("a").status, get("a").claimed_by) == ("STARTED", "me")


def test_rows_of_others_are_left_alone_and_not_in_the_answer() -> None:
    rows("mine")
    rows("theirs", owner="them")
    rows("nobodys", owner=None)

    written = record(success("mine"), success("theirs"), success("nobodys"), success("missing"))

    assert written == {"mine"}
    assert (get("theirs").status, get("theirs").claimed_by) == ("PENDING", "them")
    assert get("nobodys").status == "PENDING"
    assert TaskResult.objects.count() == 3


def test_an_ending_cannot_be_overwritten() -> None:
    rows("a")
    record(success("a"))

    written = record(Change(id="a", status="FAILURE"))

    assert written == set()
    assert get("a").status == "SUCCESS"


@pytest.mark.parametrize("ending_first", [True, False])
def test_of_start_and_end_said_together_the_end_counts(ending_first: bool) -> None:
    rows("a")
    both = [success("a"), Change(id="a", status="STARTED", owner="me")]

    written = record(*(both if ending_first else reversed(both)))

    assert written == {"a"}
    assert (get("a").status, get("a").claimed_by) == ("SUCCESS", None)


def test_every_kind_of_text_comes_back() -> None:
    rows("a")
    text = "ünï \U0001f600 'quotes\" \\ %s {} \n\t\r { \x7f"

    record(success("a", text, traceback=text))

    assert (get("a").result, get("a").traceback) == (text, text)


@pytest.mark.parametrize("poison", ["NUL \x00 byte", "half a pair \ud83d"], ids=["nul", "surrogate"])
def test_a_traceback_that_databases_refuse_is_escaped_and_holds_up_nobody(poison: str) -> None:
    rows("a", "b")

    written = record(Change(id="a", status="FAILURE", traceback=poison), success("b"))

    assert written == {"a", "b"}
    assert get("a").traceback == poison.encode("utf-8", "backslashreplace").decode().replace("\x00", r"\x00")


def test_a_megabyte_is_no_trouble() -> None:
    rows("a")
    text = "x" * 1_000_000

    record(Change(id="a", status="FAILURE", traceback=text, result=text))

    assert get("a").traceback == text


def test_twenty_megabytes_together_are_no_trouble() -> None:
    ids = [f"id{number}" for number in range(20)]
    rows(*ids)
    text = "x" * 1_000_000

    written = record(*(Change(id=id, status="FAILURE", traceback=text) for id in ids))

    assert written == set(ids)
    assert TaskResult.objects.filter(status="FAILURE").count() == 20


def test_a_thousand_rows_each_get_their_own() -> None:
    ids = [f"id{number}" for number in range(1000)]
    rows(*ids)

    written = record(*(success(id, result=id) for id in ids))

    assert written == set(ids)
    assert dict(TaskResult.objects.values_list("id", "result")) == {id: id for id in ids}


def test_nothing_to_record_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as asked:
        assert record() == set()

    assert not len(asked)


def test_without_time_zones_moments_are_local(settings: Any) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Kathmandu"
    rows("a")

    record(success("a", started_at=NOW))

    row = get("a")
    assert row.started_at == dt.datetime(2026, 3, 1, 18, 15, 15, 123456)
    assert (clock.from_storage(row.started_at), clock.from_storage(row.finished_at)) == (NOW, LATER)


def test_a_failing_write_changes_nothing() -> None:
    rows("a")

    def fail_afterwards() -> None:
        with transaction.atomic():
            record(success("a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_afterwards()

    assert get("a").status == "PENDING"
