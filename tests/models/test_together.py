"""Rows and notices that go to PostgreSQL as one statement."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock, task
from django_tasks.exceptions import DuplicateTaskId
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.models.together import together
from django_tasks.models.watch import ARRIVALS, ENDINGS, announce

pytestmark = pytest.mark.django_db

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="the others take one at a time")


@task
def add(x: int, y: int) -> int:
    return x + y


def insert(*payloads: str) -> None:
    rows: list[Any] = [
        QueuedMessage(queue="default", sent_at=clock.to_storage(clock.now()), payload=payload)
        for payload in payloads
    ]
    QueuedMessage.objects.all().insert(rows)


def payloads() -> list[str]:
    return list(QueuedMessage.objects.order_by("id").values_list("payload", flat=True))


@on_postgresql
def test_a_task_is_sent_by_one_statement() -> None:
    with CaptureQueriesContext(connection) as asked:
        result = add.delay(1, 2)

    assert [query["sql"][:5] for query in asked if "SAVEPOINT" not in query["sql"]] == ["WITH "]
    assert TaskResult.objects.get(id=result.id).queue == QueuedMessage.objects.get().queue


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_there_is_nothing_but_that_statement() -> None:
    with CaptureQueriesContext(connection) as asked:
        add.delay(1, 2)

    assert [query["sql"][:5] for query in asked] == ["WITH "]


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_several_statements_are_one() -> None:
    def fail() -> None:
        with together(connection):
            insert("1")
            insert("2")
            insert("3")
            assert connection.in_atomic_block
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert payloads() == []

    with together(connection):
        insert("1")
        insert("2")
    assert payloads() == ["1", "2"]
    assert not connection.in_atomic_block


def test_all_that_is_inserted_in_the_block_is_there_after_it() -> None:
    written = [f"{number} %s 'quoted'" for number in range(5)]

    with together(connection):
        for payload in written:
            insert(payload)
        announce(connection, ARRIVALS)
        announce(connection, ENDINGS)

    assert payloads() == written


def test_notices_need_no_rows_and_rows_no_notices() -> None:
    with together(connection):
        announce(connection, ARRIVALS)
    with together(connection):
        insert("1")
    with together(connection):
        pass

    assert payloads() == ["1"]


def test_blocks_inside_of_one_another_are_one() -> None:
    with together(connection):
        insert("1")
        with together(connection):
            insert("2")

    assert payloads() == ["1", "2"]


@on_postgresql
def test_nothing_is_inserted_by_a_block_that_fails() -> None:
    def fail() -> None:
        with together(connection):
            insert("1")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()

    assert payloads() == []


def test_an_id_that_is_taken_is_refused_as_ever() -> None:
    result = add.delay(1, 2)

    with pytest.raises(DuplicateTaskId, match=result.id):
        add.apply_async((3, 4), task_id=result.id)
