"""Sent if and only if committed; all or none (DESIGN §2, promise 1)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.dispatch.now import send
from django_tasks.exceptions import DuplicateTaskId, EncodeError
from django_tasks.message.message import TaskMessage
from django_tasks.message.task_id import new_task_id
from django_tasks.models import QueuedMessage, TaskResult


class RolledBack(Exception):
    pass


def message(id: str = "", **fields: Any) -> TaskMessage:
    return TaskMessage(id=id or new_task_id(), task="tests.task", argsrepr="()", kwargsrepr="{}", **fields)


def sent() -> tuple[int, int]:
    """How many rows, and how many messages."""
    return TaskResult.objects.count(), QueuedMessage.objects.count()


@pytest.mark.django_db
def test_a_sent_task_is_a_row_and_a_message() -> None:
    order = message(args=(1, "ü"), queue="other", priority=7)

    send([order])

    row, stored = TaskResult.objects.get(), QueuedMessage.objects.get()
    assert (row.id, row.task, row.queue, row.priority, row.status) == (
        order.id,
        "tests.task",
        "other",
        7,
        "PENDING",
    )
    assert (row.args, row.kwargs, row.claimed_by) == ("()", "{}", None)
    assert (stored.queue, stored.priority, stored.state) == ("other", 7, "ready")
    assert order.id in stored.payload
    assert order.id in row.message


@pytest.mark.django_db
def test_of_an_ignored_result_there_is_a_message_only() -> None:
    send([message(ignore_result=True)])

    assert sent() == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_outside_of_transactions_it_is_there_at_once() -> None:
    send([message()])

    assert not connection.in_atomic_block
    assert sent() == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_in_a_transaction_that_rolls_back_was_never_sent() -> None:
    """FEATURES TX-01."""

    def send_and_roll_back() -> None:
        with transaction.atomic():
            send([message(), message("chosen"), message(ignore_result=True)])
            raise RolledBack

    with pytest.raises(RolledBack):
        send_and_roll_back()

    assert sent() == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_what_is_sent_in_a_savepoint_that_rolls_back_was_never_sent_the_rest_was() -> None:
    def send_and_roll_back() -> None:
        with transaction.atomic():
            send([message("inside")])
            raise RolledBack

    with transaction.atomic():
        send([message("before")])
        with pytest.raises(RolledBack):
            send_and_roll_back()
        send([message("after")])

    assert set(TaskResult.objects.values_list("id", flat=True)) == {"before", "after"}
    assert sent() == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_it_can_be_sent_in_a_durable_transaction() -> None:
    with transaction.atomic(durable=True):
        send([message()])

    assert sent() == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_with_autocommit_off_it_goes_with_the_callers_commit(commits: bool) -> None:
    transaction.set_autocommit(False)
    try:
        send([message()])
        (transaction.commit if commits else transaction.rollback)()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)

    assert sent() == ((1, 1) if commits else (0, 0))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("inside", [True, False], ids=["in a transaction", "outside"])
def test_a_taken_id_is_refused_and_the_callers_transaction_goes_on(inside: bool) -> None:
    """FEATURES EXE-16."""
    send([message("taken")])

    def send_again() -> None:
        with pytest.raises(DuplicateTaskId, match="task_id taken is taken by another task"):
            send([message("taken")])

    if inside:
        with transaction.atomic():
            send([message("before")])
            send_again()
            send([message("after")])
        assert sent() == (3, 3)
    else:
        send_again()
        assert sent() == (1, 1)


@pytest.mark.django_db
def test_of_a_bulk_with_a_taken_id_nothing_is_sent() -> None:
    send([message("taken")])

    with pytest.raises(DuplicateTaskId, match="one of 5 ids"):
        send([message(), message(), message("taken"), message(), message()])

    assert sent() == (1, 1)


@pytest.mark.django_db
def test_of_a_bulk_with_something_that_cannot_be_written_nothing_is_sent() -> None:
    with pytest.raises(EncodeError):
        send([message(args=(1,)), message(args=(object(),)), message(args=(2,))])

    assert sent() == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "large", [{"args": ("x" * 1000,)}, {"args": ("é" * 500,)}, {"headers": {"x": "x" * 1000}}]
)
def test_what_every_worker_would_refuse_for_its_size_is_not_sent(
    settings: Any, large: dict[str, Any]
) -> None:
    settings.DJANGO_TASKS = {"MESSAGE_MAX_BYTES": 1000}
    small = message(args=("x" * 800,), headers={"x": "x" * 800})

    with pytest.raises(EncodeError, match="MESSAGE_MAX_BYTES"):
        send([small, message(**large)])
    send([small])

    assert sent() == (1, 1)


@pytest.mark.django_db
def test_what_cannot_be_written_leaves_the_callers_transaction_alone() -> None:
    with transaction.atomic():
        with pytest.raises(EncodeError):
            send([message(args=(object(),))])
        send([message()])

    assert sent() == (1, 1)


@pytest.mark.django_db
def test_a_task_for_later_is_parked_until_then() -> None:
    """FEATURES EXE-01, EXE-02."""
    eta = clock.now() + dt.timedelta(hours=1)

    send([message(eta=eta)])

    stored = QueuedMessage.objects.get()
    assert stored.state == "parked"
    assert clock.from_storage(stored.deliver_at) == eta


@pytest.mark.django_db
def test_a_moment_that_has_passed_is_now() -> None:
    send([message(eta=clock.now() - dt.timedelta(hours=1))])

    assert QueuedMessage.objects.get().state == "ready"


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [{}, {"args": ("x" * 3000,)}, {"ignore_result": True}])
def test_sending_takes_as_many_statements_for_thirty_as_for_five(fields: dict[str, Any]) -> None:
    def statements(many: int) -> int:
        with CaptureQueriesContext(connection) as asked:
            send([message(**fields) for _ in range(many)])
        return len(asked)

    statements(1)

    # Two INSERTs, and NOTIFY where there is one. SQLite takes no more than some forty rows in one.
    assert statements(30) == statements(5) <= 3


@pytest.mark.django_db
def test_with_a_chosen_id_a_savepoint_comes_on_top() -> None:
    with CaptureQueriesContext(connection) as asked:
        send([message("chosen")])

    assert sum("SAVEPOINT" in query["sql"] for query in asked) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["NUL \x00", "\U0001f600", "%s %(x)s {}", "'; DROP TABLE x; --"])
def test_any_text_can_be_an_argument(text: str) -> None:
    send([message(args=(text,), kwargs={"key": text})])

    assert sent() == (1, 1)


@pytest.mark.django_db
def test_what_the_database_says_is_passed_on_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    away = OperationalError("server is away")

    def fail(*_: object) -> None:
        raise away

    monkeypatch.setattr(type(TaskResult.objects.all()), "insert", fail)

    with pytest.raises(OperationalError) as error, transaction.atomic():
        send([message()])

    assert error.value is away


@pytest.mark.django_db(transaction=True)
def test_a_failing_publication_leaves_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("server is away")

    monkeypatch.setattr(type(broker()), "publish", fail)

    with pytest.raises(OperationalError):
        send([message()])

    assert sent() == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_for_a_broker_on_another_database_it_is_published_after_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published: list[int] = []
    monkeypatch.setattr(type(broker()), "alias", "elsewhere", raising=False)
    monkeypatch.setattr(type(broker()), "publish", lambda _, postings: published.append(len(postings)))

    with transaction.atomic():
        send([message(), message()])
        during = list(published)

    assert during == []
    assert published == [2]
