"""Sending while the database is away: again, but never twice (FEATURES EXE-10, EXE-11, SET-13, SET-14, D-POLICY)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError as DatabaseAway
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks import exceptions, group, signals, task
from django_tasks.brokers.handler import broker
from django_tasks.dispatch import reconnecting
from django_tasks.models import QueuedMessage, TaskResult

pytestmark = pytest.mark.django_db(transaction=True)


@task(name="reconnecting.add")
def add(x: int = 0, y: int = 0) -> int:
    return x + y


def sent() -> tuple[int, int]:
    """How many rows, and how many messages."""
    return TaskResult.objects.count(), QueuedMessage.objects.count()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, which take no time."""
    found: list[float] = []
    monkeypatch.setattr(reconnecting, "sleep", found.append)
    return found


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the next attempts to connect fail, that many."""
    really = connection.ensure_connection
    left = 0

    def connect() -> None:
        nonlocal left
        if left:
            left -= 1
            raise DatabaseAway("connection refused")
        really()

    def begin(times: int) -> None:
        nonlocal left
        left = times

    monkeypatch.setattr(connection, "ensure_connection", connect)
    return begin


@pytest.fixture
def cut() -> Callable[[], None]:
    """Ends the connection from the other side, as a server does that is restarted."""
    if connection.vendor == "sqlite":
        pytest.skip("there is no server")

    def end() -> None:
        other = connection.copy()
        with connection.cursor() as mine, other.cursor() as theirs:
            is_postgres = connection.vendor == "postgresql"
            mine.execute("SELECT pg_backend_pid()" if is_postgres else "SELECT CONNECTION_ID()")
            (id,) = mine.fetchone()
            theirs.execute(f"SELECT pg_terminate_backend({id:d}, 5000)" if is_postgres else f"KILL {id:d}")
        other.close()

    return end


def test_d_policy_a_database_that_is_back_soon_costs_nothing_but_time(
    away: Callable[[int], None], waits: list[float]
) -> None:
    away(3)

    add.delay(1)

    assert waits == [0.0, 0.2, 0.2]
    assert sent() == (1, 1)


def test_d_policy_after_three_retries_it_is_an_error_and_nothing_was_sent(
    away: Callable[[int], None], waits: list[float]
) -> None:
    away(4)

    with pytest.raises(exceptions.OperationalError, match="nothing was sent: connection refused") as error:
        add.delay(1)

    assert sum(waits) == 0.4
    assert isinstance(error.value.__cause__, DatabaseAway)
    assert sent() == (0, 0)


@pytest.mark.parametrize(
    ("options", "fails", "waited"),
    [
        (
            {"retry_policy": {"max_retries": 5, "interval_start": 0.1, "interval_max": 0.35}},
            5,
            [0.1, 0.3, 0.35, 0.35, 0.35],
        ),
        ({"retry_policy": {"max_retries": None, "interval_step": 0}}, 30, [0.0] * 30),
        ({"retry": True, "retry_policy": {"interval_start": 0.2}}, 2, [0.2, 0.2]),
        ({"retry": None, "retry_policy": None}, 1, [0.0]),
    ],
)
def test_exe_11_a_call_has_a_policy_of_its_own(
    away: Callable[[int], None], waits: list[float], options: Any, fails: int, waited: list[float]
) -> None:
    away(fails)

    add.apply_async((1,), **options)

    assert waits == pytest.approx(waited)
    assert sent() == (1, 1)


def test_exe_10_with_retry_false_it_is_tried_once(away: Callable[[int], None], waits: list[float]) -> None:
    away(1)

    with pytest.raises(exceptions.OperationalError):
        add.apply_async((1,), retry=False)

    assert waits == []
    add.delay(1)
    assert sent() == (1, 1)


def test_set_13_14_the_settings_say_it_for_all_calls(
    away: Callable[[int], None], waits: list[float], settings: Any
) -> None:
    settings.DJANGO_TASKS = {"TASK_PUBLISH_RETRY": False, "TASK_PUBLISH_RETRY_POLICY": {"max_retries": 1}}
    away(1)
    with pytest.raises(exceptions.OperationalError):
        add.delay(1)

    away(2)
    with pytest.raises(exceptions.OperationalError):
        add.apply_async((1,), retry=True)

    assert waits == [0.0]
    assert sent() == (0, 0)


@pytest.mark.parametrize(
    ("policy", "refusal"),
    [
        ({"max_retris": 3}, "no key 'max_retris'. Did you mean 'max_retries'?"),
        ({"max_retries": 1.5}, "max_retries must be a whole number or None, 0 or more, not 1.5"),
        ({"interval_step": -1}, "interval_step must be seconds, 0 or more, not -1"),
        ({"interval_max": None}, "interval_max must be seconds"),
        ({"interval_start": float("nan")}, "interval_start must be seconds"),
    ],
)
def test_exe_11_a_policy_that_is_none_is_refused(policy: Any, refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        add.apply_async((1,), retry_policy=policy)
    assert sent() == (0, 0)


def lose_once(monkeypatch: pytest.MonkeyPatch) -> DatabaseAway:
    """Has the connection found lost while the next message is written; what is raised then."""
    lost = DatabaseAway("server closed the connection")
    really = type(broker()).publish
    left = [lost]

    def publish(*args: Any) -> None:
        if left:
            monkeypatch.setattr(connection, "is_usable", lambda: False)
            raise left.pop()
        really(*args)

    monkeypatch.setattr(type(broker()), "publish", publish)
    return lost


def test_exe_10_inside_a_transaction_nothing_is_repeated(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    lost = lose_once(monkeypatch)

    with pytest.raises(DatabaseAway) as error, transaction.atomic():
        add.delay(1)

    assert error.value is lost
    assert waits == []
    assert sent() == (0, 0)


def test_exe_10_outside_of_one_the_same_is_written_again(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    lose_once(monkeypatch)

    add.delay(1)

    assert waits == [0.0]
    assert sent() == (1, 1)


def test_exe_10_an_error_of_the_commit_is_not_repeated_for_it_may_have_been_done(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    really = connection.commit

    def commit() -> None:
        really()
        connection.close()
        raise DatabaseAway("server closed the connection")

    monkeypatch.setattr(connection, "commit", commit)

    with pytest.raises(DatabaseAway):
        add.apply_async((1,), ignore_result=True)

    assert waits == []
    assert sent() == (0, 1)


def test_exe_10_a_stale_connection_does_not_cost_the_send(
    cut: Callable[[], None], waits: list[float]
) -> None:
    cut()

    add.delay(1)

    assert waits == [0.0]
    assert sent() == (1, 1)


def test_exe_10_what_was_half_written_when_the_connection_was_lost_is_written_once(
    cut: Callable[[], None], waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    really = type(broker()).publish
    cuts = [cut, cut]

    def publish(*args: Any) -> None:
        if cuts:
            cuts.pop()()
        really(*args)

    monkeypatch.setattr(type(broker()), "publish", publish)

    add.delay(1)

    assert waits == [0.0, 0.2]
    assert sent() == (1, 1)


@pytest.fixture
def lose_the_answer(cut: Callable[[], None]) -> Iterator[None]:
    """The next statement is executed, and the connection ends before that is heard of."""
    if connection.vendor != "postgresql":
        pytest.skip("only there it is one statement that sends a task")
    left = [cut]

    def lose(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        result = execute(sql, *arguments)
        if left and sql.startswith("WITH"):
            left.pop()()
            raise DatabaseAway("server closed the connection")
        return result

    with connection.execute_wrapper(lose):
        yield


@pytest.mark.usefixtures("lose_the_answer")
def test_exe_10_the_next_try_finds_that_the_one_before_got_through(waits: list[float]) -> None:
    result = add.delay(1)

    assert waits == [0.0]
    assert sent() == (1, 1)
    assert TaskResult.objects.get().id == result.id


@pytest.mark.usefixtures("lose_the_answer")
def test_exe_10_if_nobody_can_ask_whether_it_got_through_the_error_does_not_say_that_nothing_was_sent(
    waits: list[float],
) -> None:
    with pytest.raises(DatabaseAway, match="server closed the connection"):
        add.apply_async((1,), retry=False)

    assert waits == []
    assert sent() == (1, 1)


@pytest.mark.usefixtures("lose_the_answer")
def test_exe_10_the_first_loss_is_what_leaves_doubt_even_if_there_is_no_connection_after_it(
    away: Callable[[int], None], waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting, "sleep", lambda seconds: away(1))

    with pytest.raises(DatabaseAway, match="server closed the connection") as error:
        add.apply_async((1,), retry_policy={"max_retries": 2})

    assert "connection refused" in str(error.value.__cause__)
    assert sent() == (1, 1)


@pytest.mark.parametrize(
    "options", [{"task_id": "chosen"}, {"ignore_result": True}], ids=["an id of the caller's", "no row"]
)
def test_exe_10_what_its_row_cannot_tell_of_is_sent_in_a_transaction(
    options: Any, cut: Callable[[], None], waits: list[float]
) -> None:
    cut()
    with CaptureQueriesContext(connection) as asked:
        add.apply_async((1,), **options)

    assert "BEGIN" in [query["sql"] for query in asked]
    assert waits == [0.0]
    assert sent()[1] == 1


def test_exe_10_an_id_that_is_taken_is_told_though_the_connection_was_lost_before(
    cut: Callable[[], None], waits: list[float]
) -> None:
    add.apply_async((1,), task_id="chosen")
    cut()

    with pytest.raises(exceptions.DuplicateTaskId):
        add.apply_async((2,), task_id="chosen")

    assert waits == [0.0]
    assert sent() == (1, 1)


def test_exe_10_a_workflow_is_sent_again_as_a_whole(cut: Callable[[], None], waits: list[float]) -> None:
    cut()

    group(add.s(number) for number in range(3)).delay()

    assert waits == [0.0]
    assert sent() == (3, 3)


def test_exe_11_receivers_are_told_the_policy_in_force() -> None:
    told: list[Any] = []

    def hear(sender: Any, retry_policy: Any, **_: Any) -> None:
        told.append(retry_policy)

    signals.before_task_publish.connect(hear)
    try:
        add.apply_async((1,), retry_policy={"max_retries": 9})
    finally:
        signals.before_task_publish.disconnect(hear)

    assert told == [{"max_retries": 9, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}]
