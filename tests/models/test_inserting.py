"""One suite over all ways to write many new rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.models import QueuedMessage, TaskResult, inserting

NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=2.5)
TEXTS = ["", "plain", "quote ' and \" and %s", "back\\slash\nline", "ü € 𝄞", "{%s}", "NULL"]

OWN = inserting.WAYS[connection.vendor].__name__


@pytest.fixture(params=["bulk_create", OWN])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `write` use the way that the test is run with."""
    monkeypatch.setitem(inserting.WAYS, connection.vendor, getattr(inserting, request.param))


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("way")]


def message(payload: str = "{}", **fields: Any) -> QueuedMessage:
    made: dict[str, Any] = {"queue": "default", "sent_at": clock.to_storage(NOW), "payload": payload}
    return QueuedMessage(**made | fields)


def result(id: str, **fields: Any) -> TaskResult:
    made: dict[str, Any] = {
        "task": "t",
        "queue": "default",
        "message": "{}",
        "created_at": clock.to_storage(NOW),
    }
    return TaskResult(id=id, **made | fields)


def read_back(made: list[TaskResult]) -> list[TaskResult]:
    return list(TaskResult.objects.filter(id__in=[row.id for row in made]).order_by("id"))


def values(row: TaskResult | QueuedMessage) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name != "_state"}


def test_what_is_read_back_is_what_was_written() -> None:
    """Values of all kinds: of a row, of all rows, of some of them."""
    later = clock.to_storage(LATER)
    some = {"awaited_at": later, "terminate": True, "group_id": "g", "group_index": 3, "result": "[1]"}
    made = [
        result("a", retries=7, priority=9),
        result("b", retries=7, crashes=2, **some),
        result("c", retries=7, claimed_by="me", aborted=True, started_at=later),
    ]

    TaskResult.objects.all().insert(made)

    assert list(map(values, read_back(made))) == list(map(values, made))


@pytest.mark.parametrize("count", [1, 3])
def test_every_kind_of_text_comes_back(count: int) -> None:
    made = [result(f"{number}", message=text, args=text) for number, text in enumerate(TEXTS * count)]
    made.sort(key=lambda row: row.id)

    TaskResult.objects.all().insert(made)

    assert list(map(values, read_back(made))) == list(map(values, made))


@pytest.mark.parametrize("text", TEXTS)
def test_a_single_row_is_written_as_well(text: str) -> None:
    TaskResult.objects.all().insert([result("a", message=text, traceback=text)])

    row = TaskResult.objects.get()
    assert (row.message, row.traceback, row.result) == (text, text, None)


def test_keys_are_counted_in_the_order_of_the_rows() -> None:
    QueuedMessage.objects.all().insert([message(f"{number}") for number in range(600)])

    found = QueuedMessage.objects.order_by("id").values_list("payload", flat=True)
    assert list(found) == [f"{number}" for number in range(600)]


def test_no_rows_are_no_statements() -> None:
    with CaptureQueriesContext(connection) as asked:
        TaskResult.objects.all().insert([])

    assert [query for query in asked.captured_queries if "INSERT" in query["sql"]] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("spoil", [partial(result, "a"), partial(result, "z", task=None)])
def test_if_one_is_refused_none_is_written(spoil: Callable[[], TaskResult]) -> None:
    TaskResult.objects.all().insert([result("a")])

    with pytest.raises(IntegrityError):
        TaskResult.objects.all().insert([*(result(f"new{number}") for number in range(600)), spoil()])

    assert TaskResult.objects.count() == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite's columns hold texts of any length")
@pytest.mark.django_db(transaction=True)
def test_what_is_too_long_is_refused_and_not_cut() -> None:
    with pytest.raises(DatabaseError):
        TaskResult.objects.all().insert([result("a", task="t" * 300)])
    with pytest.raises(DatabaseError):
        TaskResult.objects.all().insert([result("a", task="t" * 300), result("b")])

    assert TaskResult.objects.count() == 0


def test_without_time_zones_moments_are_local(settings: Any) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Kathmandu"
    made = [result("a"), result("b", finished_at=clock.to_storage(LATER))]

    TaskResult.objects.all().insert(made)

    assert list(map(values, read_back(made))) == list(map(values, made))
    assert made[1].finished_at == dt.datetime(2026, 3, 1, 18, 15, 17, 623456)


def test_a_megabyte_is_no_trouble() -> None:
    made = [result(f"{number}", message=f"{number}" * 1_000_000) for number in range(5)]

    TaskResult.objects.all().insert(made)

    assert [row.message for row in read_back(made)] == [row.message for row in made]
