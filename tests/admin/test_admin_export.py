"""Tasks as a file, however many they are: written while they are read, batch by batch."""

from __future__ import annotations

import datetime as dt
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks.admin import export
from django_tasks.models import TaskResult
from django_tasks.steering.selection import Selection

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
EXPORT = reverse("admin:django_tasks_taskresult_export")
BATCH, NUMBER = 100, 1050
#: The task, all of its kind in the order of their time.
EVERYTHING = {"everything": "1", "asked": "task=shop.tasks.pay"}


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_ROWS", BATCH)
    monkeypatch.setattr(export, "PART", 2_000)


@pytest.fixture
def many_tasks(db: None) -> list[str]:
    ids = [f"id-{number:05}" for number in range(NUMBER)]
    TaskResult.objects.bulk_create(
        TaskResult(
            id=id,
            task="shop.tasks.pay",
            queue="default",
            message="{}",
            result=json.dumps("x" * 50),
            created_at=NOW + dt.timedelta(seconds=number),
        )
        for number, id in enumerate(ids)
    )
    return ids


def parts_of(page: Client, kind: str, **chosen: Any) -> Iterator[bytes]:
    answer: Any = page.post(EXPORT, {"format": kind, **(chosen or EVERYTHING)})
    assert answer.status_code == 200
    return iter(answer.streaming_content)


def ids_in(parts: Iterator[bytes], kind: str) -> list[str]:
    lines = b"".join(parts).decode().splitlines()
    if kind == "csv":
        return [line.partition(",")[0] for line in lines[1:]]
    return [json.loads(line)["id"] for line in lines]


each_kind = pytest.mark.parametrize("kind", list(export.KINDS))


@each_kind
def test_all_tasks_are_in_the_file_once_the_oldest_first(
    page: Client, many_tasks: list[str], kind: str
) -> None:
    assert ids_in(parts_of(page, kind), kind) == many_tasks


@each_kind
def test_those_that_were_ticked_are_in_the_file(page: Client, many_tasks: list[str], kind: str) -> None:
    ticked = many_tasks[: BATCH + 1]

    assert sorted(ids_in(parts_of(page, kind, _selected_action=ticked), kind)) == ticked


@each_kind
def test_a_batch_takes_two_queries_and_nothing_else_does(
    page: Client, many_tasks: list[str], kind: str
) -> None:
    parts = parts_of(page, kind)

    with CaptureQueriesContext(connection) as asked:
        list(parts)

    assert len(asked) == 2 * -(-NUMBER // BATCH)


@each_kind
def test_the_file_begins_when_one_batch_was_read(page: Client, many_tasks: list[str], kind: str) -> None:
    parts = parts_of(page, kind)

    with CaptureQueriesContext(connection) as asked:
        begun = next(parts)

    assert many_tasks[0].encode() in begun
    assert len(asked) == 2


@each_kind
def test_no_more_than_two_batches_are_ever_in_memory(page: Client, many_tasks: list[str], kind: str) -> None:
    """The next one is read before the last is let go."""
    parts = parts_of(page, kind)
    gc.collect()
    before = rows_in_memory()

    most = max(rows_in_memory() - before for _ in parts)

    assert 0 < most <= 2 * BATCH


def rows_in_memory() -> int:
    return sum(type(found) is TaskResult for found in gc.get_objects())


@each_kind
def test_parts_are_neither_a_line_nor_the_whole_file(page: Client, many_tasks: list[str], kind: str) -> None:
    sizes = [len(part) for part in parts_of(page, kind)]

    assert len(sizes) > NUMBER // BATCH
    assert all(export.PART < size < 2 * export.PART for size in sizes[:-1])


@each_kind
def test_an_asynchronous_server_is_given_part_after_part_as_well(
    many_tasks: list[str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    read: list[int] = []
    batches = Selection.batches

    def noted(self: Selection, size: int) -> Iterator[list[str]]:
        for batch in batches(self, size):
            read.append(len(batch))
            yield batch

    monkeypatch.setattr(Selection, "batches", noted)
    client = AsyncClient()
    client.force_login(User.objects.create_superuser("boss"))

    async def first_and_rest() -> tuple[bytes, int, bytes]:
        answer: Any = await client.post(EXPORT, {"format": kind, **EVERYTHING})
        parts = aiter(answer.streaming_content)
        first = await anext(parts)
        return first, len(read), b"".join([part async for part in parts])

    # When
    first, batches_for_the_first, rest = async_to_sync(first_and_rest)()

    # Then
    assert batches_for_the_first == 1
    assert ids_in(iter([first, rest]), kind) == many_tasks


def test_a_file_of_nothing_has_its_columns(page: Client, db: None) -> None:
    (only,) = parts_of(page, "csv", everything="1", asked="task=unknown")

    assert only.decode().strip() == ",".join((*export.COLUMNS, *export.PAYLOAD))
