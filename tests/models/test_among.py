"""`among` finds what `IN` finds, in each database's own way and in the one for all."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_tasks import clock
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.models.among import Among, among

IDS = ["a", "b'b", 'c"c', "d\\d", "%s", "ü€𝄞", "{x,y}", "NULL", "1"]


@pytest.fixture(params=["its own way", "the one for all"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "the one for all":
        monkeypatch.delattr(Among, "as_sqlite")
        monkeypatch.delattr(Among, "as_postgresql")
    return str(request.param)


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("way")]


def rows(ids: list[str]) -> None:
    made: dict[str, Any] = {"task": "t", "queue": "default", "message": "{}"}
    now = clock.to_storage(clock.now())
    TaskResult.objects.insert([TaskResult(id=id, created_at=now, **made) for id in ids])


def found(*ids: str) -> list[str]:
    return sorted(TaskResult.objects.filter(among("id", ids)).values_list("id", flat=True))


@pytest.mark.parametrize("id", IDS)
def test_of_texts_each_finds_its_row_and_no_other(id: str) -> None:
    rows(IDS)

    assert found(id, "nobody's") == [id]


def test_many_are_found_at_once_and_doubled_ones_once() -> None:
    ids = [f"{number:03}" for number in range(600)]
    rows(ids)

    assert found(*ids[:500], *ids[:500]) == ids[:500]


def test_among_nothing_there_is_nothing() -> None:
    rows(["a"])

    assert found() == []
    assert TaskResult.objects.filter(among("id", [])).update(queue="other") == 0


def test_numbers_are_found_changed_and_deleted() -> None:
    now = clock.to_storage(clock.now())
    QueuedMessage.objects.insert([QueuedMessage(queue="q", sent_at=now, payload="{}") for _ in range(5)])
    first, second, *others = sorted(QueuedMessage.objects.values_list("id", flat=True))

    changed = QueuedMessage.objects.filter(among("id", {first, second})).update(queue="other")
    QueuedMessage.objects.filter(among("id", others)).delete()

    assert changed == 2
    assert sorted(QueuedMessage.objects.values_list("id", "queue")) == [(first, "other"), (second, "other")]


def test_however_many_they_are_one_parameter(way: str) -> None:
    _, parameters = TaskResult.objects.filter(among("id", IDS)).query.sql_with_params()

    travels_as_one = way == "its own way" and connection.vendor in ("sqlite", "postgresql")
    assert len(parameters) == (1 if travels_as_one else len(IDS))
