"""The id at once, the task when a transaction has committed."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections, transaction

from django_tasks.dispatch.on_commit import send_on_commit
from django_tasks.exceptions import EncodeError
from django_tasks.message.message import TaskMessage
from django_tasks.message.task_id import new_task_id
from django_tasks.models import QueuedMessage, TaskResult

pytestmark = pytest.mark.django_db(transaction=True)


class RolledBack(Exception):
    pass


def message(**fields: Any) -> TaskMessage:
    return TaskMessage(id=new_task_id(), task="tests.task", **fields)


def sent() -> tuple[int, int]:
    return TaskResult.objects.count(), QueuedMessage.objects.count()


@pytest.fixture
def other() -> Any:
    """A second connection to the same database, known by an alias of its own: another database, to Django."""
    connections["other"] = connection.copy("other")
    yield "other"
    connections["other"].close()
    del connections["other"]


def test_on_the_tasks_own_database_it_joins_the_transaction() -> None:
    with transaction.atomic():
        send_on_commit([message()])
        assert sent() == (1, 1)

    assert sent() == (1, 1)


def test_on_the_tasks_own_database_it_goes_with_a_rollback() -> None:
    def send_and_roll_back() -> None:
        with transaction.atomic():
            send_on_commit([message()])
            raise RolledBack

    with pytest.raises(RolledBack):
        send_and_roll_back()

    assert sent() == (0, 0)


def test_without_a_transaction_it_is_sent_at_once() -> None:
    send_on_commit([message()])

    assert sent() == (1, 1)


def test_it_waits_for_the_commit_of_another_database(other: str) -> None:
    """FEATURES TX-01."""
    if connection.vendor == "sqlite":
        pytest.skip("two writers cannot be in one SQLite file")
    with transaction.atomic(using=other):
        send_on_commit([message()], using=other)
        assert sent() == (0, 0)

    assert sent() == (1, 1)


def test_it_is_never_sent_if_the_other_database_rolls_back(other: str) -> None:
    """FEATURES TX-01."""

    def send_and_roll_back() -> None:
        with transaction.atomic(using=other):
            send_on_commit([message()], using=other)
            raise RolledBack

    with pytest.raises(RolledBack):
        send_and_roll_back()

    assert sent() == (0, 0)


@pytest.mark.parametrize("robust", [True, False])
def test_an_error_after_the_others_commit_is_logged_if_robust_and_else_raised(
    other: str, robust: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("django_tasks.dispatch.on_commit.deliver", fail)
    done: list[str] = []

    def commit() -> None:
        with transaction.atomic(using=other):
            send_on_commit([message()], using=other, robust=robust)
            transaction.on_commit(lambda: done.append("next"), using=other)

    if robust:
        commit()
        assert done == ["next"]
    else:
        with pytest.raises(ZeroDivisionError):
            commit()
        assert done == []


@pytest.mark.parametrize("using", [None, "other"])
def test_what_cannot_be_written_is_said_now_and_not_after_the_commit(other: str, using: str | None) -> None:
    with transaction.atomic(using=using), pytest.raises(EncodeError):
        send_on_commit([message(args=(object(),))], using=using)

    assert sent() == (0, 0)


def test_an_unknown_database_is_refused() -> None:
    with pytest.raises(Exception, match="nowhere"):
        send_on_commit([message()], using="nowhere")
