"""What follows from ends is done once, or ends with a reason; it never keeps an end from being recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from django_tasks import AsyncResult, chain, chord, group
from django_tasks.exceptions import ChordError, EncodeError, ResultsDisabled
from django_tasks.execution.settlement import settle
from django_tasks.message.message import TaskMessage
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult
from django_tasks.models.batches import most_bytes
from django_tasks.results.store import DatabaseStore, Record
from tests.endings import OWNER, claimed, failed, in_queues, succeed, succeeded, untracked
from tests.ledger.tasks import add, collect, constant, forget_value, note_value, total

pytestmark = pytest.mark.django_db


def with_settings(**said: Any) -> AbstractContextManager[Any]:
    return override_settings(DJANGO_TASKS={**settings.DJANGO_TASKS, **said})


# -- callbacks


def test_a_callback_with_an_id_that_two_tasks_have_is_sent_once() -> None:
    """Both end in one batch: neither finds the row that the other one makes."""
    callback = note_value.s().set(task_id="the one")
    sent = group(add.s(1, 1).set(link=callback), add.s(2, 2).set(link=callback)).apply_async()

    settle([succeeded(claimed(member.id), 1) for member in sent.results], OWNER)

    assert [result.state for result in sent.results] == ["SUCCESS"] * 2
    assert [message.id for message in in_queues(note_value.name)] == ["the one"]


def test_an_untracked_task_that_ends_twice_sends_its_callback_with_an_id_once() -> None:
    message = TaskMessage(
        id="again",
        task=forget_value.name,
        callbacks=(note_value.s().set(task_id="the one"),),
        ignore_result=True,
    )

    for _ in range(2):
        settle([succeeded(untracked(message), 1)], OWNER)

    assert [message.id for message in in_queues(note_value.name)] == ["the one"]


# -- what a group waits for


def test_a_member_of_which_nothing_is_stored_is_not_counted() -> None:
    sent = group(add.s(1, 1), forget_value.s(2)).apply_async()
    (ignored,) = in_queues(forget_value.name)

    settle([succeeded(untracked(ignored), 2)], OWNER)
    assert [(row.pending, row.finished_at) for row in TaskGroup.objects.all()] == [(1, None)]
    succeed(sent.results[0].id, 2)

    assert [row.pending for row in TaskGroup.objects.exclude(finished_at=None)] == [0]


def test_can_11_a_result_that_was_forgotten_ends_the_body() -> None:
    """A shorter list would be another one."""
    sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
    first, second = sent.parent.results
    succeed(first.id, 1)
    first.forget()

    succeed(second.id, 2)

    with pytest.raises(ChordError, match="1 of the 2 results"):
        sent.get(timeout=0)


class Sieve(DatabaseStore):
    """A store that has lost all that it was given, and the rows have nothing."""

    keeps_endings = True
    rows_keep_results = False

    def look_up_many(self, ids: Any) -> dict[str, Record]:
        return {}


def test_can_11_a_result_that_its_store_has_lost_ends_the_body() -> None:
    """It is not `None`."""
    with with_settings(RESULT_STORE=f"{__name__}.Sieve"):
        sent: Any = chord([constant.s(1)], collect.s()).apply_async()
        succeed(sent.parent.results[0].id, 1)

    with pytest.raises(ChordError, match="1 of the 1 results"):
        sent.get(timeout=0)


@pytest.mark.parametrize(
    "workflow",
    [
        lambda: chord([add.s(1, 1), add.s(2, 2)], total.s()),
        lambda: add.s(1, 1) | group(add.s(1), add.s(2)) | total.s(),
        lambda: chain.of([group(add.s(1, 1), add.s(2, 2)), total.s()]),
        lambda: group(add.s(1, 1) | group(add.s(1), add.s(2)), add.s(3, 3)),
        lambda: add.s(1, 1).set(link=chord([add.s(1), add.s(2)], total.s())),
    ],
)
def test_can_11_a_chord_without_results_is_refused(workflow: Callable[[], Any]) -> None:
    with (
        with_settings(RESULT_STORE="disabled"),
        pytest.raises(ResultsDisabled, match=r"add .*header of a chord"),
    ):
        workflow().apply_async()

    assert not QueuedMessage.objects.exists()


def test_can_11_a_chord_whose_results_are_disabled_meanwhile_ends_its_body() -> None:
    sent: Any = chord([constant.s(1)], collect.s()).apply_async()

    with with_settings(RESULT_STORE="disabled"):
        succeed(sent.parent.results[0].id, 1)

    with pytest.raises(ChordError, match="Results are disabled"):
        sent.get(timeout=0)


def test_a_chord_in_a_cache_gets_its_results() -> None:
    with with_settings(RESULT_STORE="cache"):
        sent: Any = chord([constant.s(1), constant.s(2)], collect.s()).apply_async()
        for number, member in enumerate(sent.parent.results):
            succeed(member.id, number)

    assert [message.args for message in in_queues(collect.name)] == [([0, 1],)]


# -- what cannot be sent


def test_a_chord_that_cannot_be_written_down_ends() -> None:
    """The body of a chord is kept as JSON, whatever its tasks are written with."""
    steps = chord([constant.si(1).set(serializer="pickle")], constant.si({1, 2}).set(serializer="pickle"))
    message = TaskMessage(id="first", task=add.name, chain=(steps.set(task_id="header"),))
    other = add.delay(1, 1)

    settle([succeeded(untracked(message), 1), succeeded(claimed(other.id), 2)], OWNER)

    assert other.state == "SUCCESS"
    assert list(TaskResult.objects.exclude(id=other.id).values_list("status", flat=True)) == ["FAILURE"] * 2
    assert not TaskGroup.objects.exists()


def breaks_the_transaction(
    send: Callable[[TaskMessage], TaskMessage],
) -> Callable[[TaskMessage], TaskMessage]:
    """Middleware whose statement fails: on PostgreSQL no other statement of the transaction is run after it."""

    def refuse(message: TaskMessage) -> TaskMessage:
        if message.parent_id is not None:
            QueuedMessage.objects.create(queue="x", payload="", sent_at=dt.datetime.now(dt.UTC))
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM there_is_no_such_table")
        return send(message)

    return refuse


def test_middleware_that_breaks_the_transaction_ends_the_next_step() -> None:
    sent: Any = chain(add.s(1, 2), add.s(3), add.s(4)).apply_async()

    with with_settings(SEND_MIDDLEWARE=[f"{__name__}.breaks_the_transaction"]):
        succeed(sent.parent.parent.id, 3)

    assert [result.state for result in (sent, sent.parent, sent.parent.parent)] == [
        "FAILURE",
        "FAILURE",
        "SUCCESS",
    ]
    assert "there_is_no_such_table" in str(AsyncResult(sent.id).result)
    assert not QueuedMessage.objects.filter(queue="x").exists()


# -- options of later steps


def test_moments_on_a_later_step_are_kept() -> None:
    """`eta` and `expires` travel with it."""
    eta, expires = dt.datetime(2998, 1, 1, tzinfo=dt.UTC), dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
    sent: Any = chain(
        add.s(1, 2), add.s(3).set(eta=eta, expires=expires, priority=4, queue="other")
    ).apply_async()

    succeed(sent.parent.id, 3)

    message = TaskResult.objects.get(id=sent.id).to_message()
    assert (message.eta, message.expires, message.priority, message.queue) == (eta, expires, 4, "other")


def test_seconds_on_a_later_step_count_from_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Any = chain(add.s(1, 2), add.s(3).set(countdown=60, expires=90)).apply_async()
    later = dt.datetime(2998, 1, 1, tzinfo=dt.UTC)
    monkeypatch.setattr("django_tasks.clock.now", lambda: later)

    succeed(sent.parent.id, 3)

    message = TaskResult.objects.get(id=sent.id).to_message()
    assert (message.eta, message.expires) == (
        later + dt.timedelta(seconds=60),
        later + dt.timedelta(seconds=90),
    )


def test_a_settlement_that_is_undone_and_done_again_doubles_nothing() -> None:
    """The database goes away between the last statement and the commit."""
    sent: Any = (group(constant.s(1), constant.s(2)) | collect.s() | note_value.s()).apply_async()
    first, second = (claimed(member.id) for member in sent.parent.parent.results)
    settle([succeeded(first, 1)], OWNER)

    with pytest.raises(ZeroDivisionError), undone():
        settle([succeeded(second, 2)], OWNER)
    assert (in_queues(collect.name), TaskGroup.objects.get().pending) == ([], 1)
    settle([succeeded(second, 2)], OWNER)
    settle([succeeded(second, 2)], OWNER)  # the commit had not been confirmed

    assert [message.args for message in in_queues(collect.name)] == [([1, 2],)]
    assert TaskGroup.objects.get().pending == 0


@contextmanager
def undone() -> Iterator[None]:
    """A transaction that fails at its end."""
    with transaction.atomic():
        yield
        raise ZeroDivisionError


def test_a_failed_batch_of_a_nested_chord_ends_all_of_it() -> None:
    inner = chord([constant.s(1), constant.s(2)], total.s())
    sent: Any = chord([inner, constant.s(3)], collect.s()).apply_async()
    rows = list(TaskResult.objects.filter(task=constant.name).order_by("created_at", "id"))

    settle(
        [
            failed(claimed(rows[0].id), ValueError("bang")),
            *[succeeded(claimed(row.id), 1) for row in rows[1:]],
        ],
        OWNER,
    )

    assert sent.state == "FAILURE"
    assert not TaskGroup.objects.unfinished().exists()
    assert in_queues(collect.name) == in_queues(total.name) == []


def test_results_that_are_too_long_for_one_statement_end_the_body(settings: Any) -> None:
    """Each of them is short enough, and the end of the last one must be recorded. Only MariaDB has such a limit."""
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "MESSAGE_MAX_BYTES": 100_000_000}
    sent: Any = chord([constant.s(number) for number in range(4)], collect.s()).apply_async()
    most = most_bytes(connection)
    long = '"' * ((most or 4_000_000) // 10)  # JSON in JSON, and quoted: each is several bytes

    for member in sent.parent.results:
        succeed(member.id, long)

    if most is None:
        assert [message.args for message in in_queues(collect.name)] == [([long] * 4,)]
    else:
        with pytest.raises(EncodeError, match="max_allowed_packet"):
            sent.get(timeout=0)
