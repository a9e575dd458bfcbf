"""`get()` while the task is still to end, elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from django_tasks import AsyncResult
from django_tasks.exceptions import TaskRevokedError, TimeoutError
from django_tasks.models.watch import Watch
from django_tasks.results import waiting as module
from tests.threads import Errand

pytestmark = pytest.mark.django_db(transaction=True)

Send = Callable[..., str]
End = Callable[..., None]


class Sleeper:
    """Says when somebody has gone to sleep over a result."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asleep = threading.Event()
        wait = Watch.wait
        naps = iter(range(1_000_000))

        def noticed(watch: Watch, seconds: float) -> None:
            # The first nap ends at once, because the watch is new.
            if next(naps):
                self.asleep.set()
            wait(watch, seconds)

        monkeypatch.setattr(Watch, "wait", noticed)


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    monkeypatch.setattr(module, "_LOOK_ANYWAY", 60.0)
    return Sleeper(monkeypatch)


def get(id: str, **options: Any) -> Any:
    return AsyncResult[Any](id).get(**{"timeout": 50, **options})


def test_a_sleeper_is_woken_by_the_ending_and_not_by_the_clock(
    send: Send, end: End, sleeper: Sleeper
) -> None:
    id = send()
    waiting = Errand(lambda: (get(id), time.monotonic()))
    assert sleeper.asleep.wait(30)

    ended = time.monotonic()
    end(id, "done")
    value, woken = waiting.result()

    # Far from the minute after which it would look by itself.
    assert value == "done"
    assert woken - ended < 10


def test_a_sleeper_is_woken_by_a_revocation(send: Send, sleeper: Sleeper) -> None:
    id = send()
    waiting = Errand(lambda: get(id))
    assert sleeper.asleep.wait(30)

    AsyncResult[Any](id).revoke()

    with pytest.raises(TaskRevokedError):
        waiting.result()


def test_what_ended_before_is_there_at_once_without_listening(send: Send, end: End) -> None:
    id = send()
    end(id, 5)

    with CaptureQueriesContext(connection) as asked:
        assert get(id) == 5

    assert len(asked) == 1


def test_a_timeout_is_told_and_the_task_goes_on(send: Send) -> None:
    """FEATURES RES-03."""
    id = send(status="STARTED", claimed_by="worker")

    with pytest.raises(TimeoutError, match=f"Task {id} is STARTED after 0.05 seconds; it goes on"):
        get(id, timeout=0.05)


def test_a_timeout_of_nothing_looks_once(send: Send, end: End) -> None:
    ended, waiting = send(), send()
    end(ended, 1)

    assert get(ended, timeout=0) == 1
    with pytest.raises(TimeoutError):
        get(waiting, timeout=0)


def test_with_an_interval_the_store_is_asked_that_often(send: Send) -> None:
    """FEATURES RES-05."""
    id = send()
    get_at_last = pytest.raises(TimeoutError)

    with CaptureQueriesContext(connection) as seldom, get_at_last:
        get(id, timeout=0.4, interval=0.4)
    with CaptureQueriesContext(connection) as often, pytest.raises(TimeoutError):
        get(id, timeout=0.4, interval=0.02)

    assert len(seldom) < 8
    assert 12 < len(often) < 30


def test_an_interval_longer_than_ours_is_respected(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(module, "readable", lambda fds, seconds: slept.append(seconds))
    id = send()

    with pytest.raises(TimeoutError):
        get(id, timeout=0.001, interval=30)
    module._pause(Watch(connection, "t"), 30, None)

    assert slept[-1] == 30


def test_waiting_asks_the_database_seldom(send: Send) -> None:
    id = send()

    with CaptureQueriesContext(connection) as asked, pytest.raises(TimeoutError):
        get(id, timeout=1.0)

    # MariaDB gives no sign: it is asked at a growing interval.
    assert len(asked) < (20 if connection.vendor == "mysql" else 9)


def test_nothing_listens_any_more_afterwards(send: Send) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL has listeners")
    connection.ensure_connection()

    with pytest.raises(TimeoutError):
        get(send(), timeout=0.05)

    assert connection.connection._notify_handlers == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_listening_channels()")
        assert cursor.fetchall() == []


# -- inside a transaction


def test_inside_a_transaction_an_ending_elsewhere_is_seen(send: Send, end: End) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("see the next tests")
    id = send()

    with transaction.atomic():
        if connection.vendor == "mysql":
            with connection.cursor() as cursor:  # the view of this transaction is held still from here on
                cursor.execute("SELECT 1 FROM django_tasks_taskresult")
        ending = Errand(lambda: end(id, "done"))
        value = get(id)

    ending.result()
    assert value == "done"


def test_a_view_held_still_by_repeatable_read_is_got_around(
    send: Send, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no isolation levels")
    if connection.vendor == "mysql":
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", "repeatable read")
    else:
        from psycopg import IsolationLevel

        monkeypatch.setitem(
            connection.settings_dict["OPTIONS"], "isolation_level", IsolationLevel.REPEATABLE_READ
        )
    id = send()

    def wait() -> tuple[Any, str]:
        with transaction.atomic():
            before = AsyncResult[Any](id).state  # from now on this transaction sees nothing new
            ending = Errand(lambda: end(id, "done"))
            value = get(id)
            ending.result()
            assert before == AsyncResult[Any](id).state == "PENDING"
            return value, before

    assert Errand(wait).result() == ("done", "PENDING")


def test_with_autocommit_off_an_ending_elsewhere_is_seen(send: Send, end: End) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite lets nobody write meanwhile")
    id = send()
    transaction.set_autocommit(False)
    try:
        assert AsyncResult[Any](id).state == "PENDING"
        ending = Errand(lambda: end(id, "done"))
        assert get(id) == "done"
        ending.result()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_waiting_for_a_task_of_this_very_transaction_is_refused_with_advice(send: Send) -> None:
    with (
        transaction.atomic(),
        pytest.raises(RuntimeError, match=r"would wait for ever.* Call get\(\) after the transaction"),
    ):
        get(send())


def test_a_task_that_this_transaction_itself_ended_can_be_got(send: Send, end: End) -> None:
    with transaction.atomic():
        id = send()
        end(id, 5)

        assert get(id) == 5


def test_on_sqlite_waiting_in_a_transaction_that_locks_is_refused_because_no_worker_could_write(
    send: Send,
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite locks the whole database")
    id = send()

    with transaction.atomic(), pytest.raises(RuntimeError, match="no worker can write before it ends"):
        get(id)


def test_no_connection_is_left_open_by_waiting_in_a_transaction(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = send()
    copies: list[BaseDatabaseWrapper] = []
    copy = BaseDatabaseWrapper.copy

    def noted(self: Any, *args: Any) -> Any:
        copies.append(copy(self, *args))
        return copies[-1]

    monkeypatch.setattr(BaseDatabaseWrapper, "copy", noted)
    monkeypatch.setattr(module, "_LOCKING", ())

    with transaction.atomic(), pytest.raises(TimeoutError):
        get(id, timeout=0.05)

    assert [made.connection for made in copies] == [None]
    assert connections["default"].connection is not None
