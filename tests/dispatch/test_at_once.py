"""Sending to a broker of its own, and what becomes of it while that is away."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.dispatch import at_once
from django_tasks.exceptions import OperationalError, Unroutable
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker import lost
from tests.ledger.tasks import echo, note_untracked
from tests.ports import free_port
from tests.workers import eventually

pytestmark = pytest.mark.django_db(transaction=True)

REDIS = pytest.param("redis", marks=pytest.mark.redis)
RABBITMQ = pytest.param("amqp", marks=pytest.mark.rabbitmq)


@pytest.fixture(params=["redis", "amqp"])
def away(request: pytest.FixtureRequest, use_broker: Callable[[str], None]) -> str:
    """A broker that refuses connections. No server is needed for that."""
    if request.param == "redis":
        pytest.importorskip("redis")
    url = f"{request.param}://127.0.0.1:{free_port()}/"
    use_broker(url)
    return url


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between tries; without waiting."""
    found: list[float] = []
    monkeypatch.setattr(at_once, "sleep", found.append)
    return found


def stored() -> list[str]:
    return list(QueuedMessage.objects.values_list("state", flat=True))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the others need a transaction for it")
def test_a_tasks_row_is_one_statement(use_broker: Callable[[str], None]) -> None:
    use_broker("memory://")

    with CaptureQueriesContext(connection) as asked:
        result = echo.delay(1)

    assert [query["sql"][:11] for query in asked] == ["WITH into_d"]
    assert result.status == "PENDING"


# -- the broker is away


@pytest.mark.usefixtures("away")
def test_exe_10_a_task_that_is_stored_waits_in_the_outbox(waits: list[float]) -> None:
    result = echo.delay(1)

    assert result.status == "PENDING"
    assert stored() == ["ready"]
    assert waits == [0.0, 0.2, 0.2]


@pytest.mark.usefixtures("away")
def test_a_task_of_which_nothing_is_stored_is_refused(waits: list[float]) -> None:
    with pytest.raises(OperationalError, match="cannot be reached"):
        note_untracked.delay()

    assert stored() == []
    assert not TaskResult.objects.exists()
    assert waits == [0.0, 0.2, 0.2]


@pytest.mark.usefixtures("away", "waits")
def test_the_setting_has_all_kept(settings: Any) -> None:
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "ON_BROKER_DOWN": "outbox"}

    note_untracked.delay()

    assert stored() == ["ready"]


@pytest.mark.usefixtures("waits")
def test_the_setting_has_none_kept_and_then_nothing_was_sent(settings: Any, away: str) -> None:
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "ON_BROKER_DOWN": "raise"}

    with pytest.raises(OperationalError, match="Send it again later"):
        echo.delay(1)

    assert stored() == []
    assert not TaskResult.objects.exists()


@pytest.mark.usefixtures("away")
def test_exe_10_the_call_says_how_patiently(waits: list[float]) -> None:
    echo.apply_async((1,), retry=False)
    assert waits == []

    echo.apply_async((1,), retry_policy={"max_retries": 1, "interval_start": 0.5, "interval_max": 0.5})
    assert waits == [0.5]


@pytest.mark.usefixtures("away")
def test_in_a_transaction_nobody_waits_and_nothing_is_raised(waits: list[float]) -> None:
    with transaction.atomic():
        echo.delay(1)
        note_untracked.delay()

    assert stored() == ["ready", "ready"]
    assert waits == []


@pytest.mark.usefixtures("away", "waits")
def test_what_is_due_later_needs_no_broker(waits: list[float]) -> None:
    echo.apply_async((1,), countdown=60)
    note_untracked.apply_async(countdown=60)

    assert stored() == ["parked", "parked"]
    assert waits == []


@pytest.mark.usefixtures("away", "waits")
def test_a_password_is_not_told(use_broker: Callable[[str], None]) -> None:
    use_broker(f"amqp://guest:hunter2@127.0.0.1:{free_port()}//")

    with pytest.raises(OperationalError) as told:
        note_untracked.delay()

    assert "hunter2" not in str(told.value)


def test_a_broker_that_takes_connections_and_says_nothing_is_asked_once(
    use_broker: Callable[[str], None], waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_tasks.brokers.connecting._WAITS", {"amqp": {"connect_timeout": 0.05}})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_broker(f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}//")

        with pytest.raises(OperationalError):
            note_untracked.delay()

    assert waits == []


def test_what_no_queue_takes_leaves_no_row_that_would_be_sent_again(
    away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(postings: object) -> None:
        raise Unroutable("nowhere")

    monkeypatch.setattr(broker(), "push", nowhere)

    with pytest.raises(Unroutable):
        echo.delay(1)

    assert not TaskResult.objects.exists()


# -- it is there


@pytest.fixture
def there(shared_server: Any, use_broker: Callable[[str], None]) -> Iterator[None]:
    use_broker(shared_server.url)
    return


@pytest.mark.usefixtures("there")
def test_what_waited_goes_out_when_the_broker_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as gone:
        gone.setattr(broker(), "push", _refuse)
        echo.delay(1)
    assert stored() == ["ready"]

    assert broker().relay() == 1

    eventually(lambda: broker().size("default") == 1)
    assert stored() == []


def _refuse(postings: object) -> None:
    raise OperationalError("away")


@pytest.mark.usefixtures("there")
def test_an_untracked_task_asks_no_database(django_assert_num_queries: Callable[[int], Any]) -> None:
    with django_assert_num_queries(0):
        note_untracked.delay()

    eventually(lambda: broker().size("default") == 1)


@pytest.mark.usefixtures("there")
def test_pool_01_a_hundred_sends_use_one_connection() -> None:
    for _ in range(100):
        note_untracked.delay()

    used = broker().pool()._resource.queue
    assert sum(not callable(connection) and connection.connected for connection in used) == 1


# -- what a broker lost


@pytest.fixture
def overdue(there: None) -> TaskResult:
    """A row whose message is nowhere."""
    result = echo.delay(1)
    eventually(lambda: broker().size("default") == 1)
    broker().purge("default")
    row = TaskResult.objects.get(id=result.id)
    assert row.awaited_at is not None
    row.awaited_at -= dt.timedelta(seconds=40)
    row.save()
    return row


def test_a_lost_task_is_sent_again_once_while_it_is_on_its_way(overdue: TaskResult) -> None:
    assert lost.send_again(["default"]) == 1
    assert lost.send_again(["default"]) == 0

    eventually(lambda: broker().size("default") == 1)
    overdue.refresh_from_db()
    assert overdue.awaited_at is not None
    assert clock.from_storage(overdue.awaited_at) > clock.now()


def test_nothing_is_lost_while_its_queue_is_not_empty(overdue: TaskResult) -> None:
    echo.delay(2)
    eventually(lambda: broker().size("default") == 1)

    assert lost.send_again(["default"]) == 0


@pytest.mark.parametrize(("priority", "again"), [(0, 0), (4, 1), (9, 0)])
def test_in_a_queue_that_is_never_empty_what_was_overtaken_is_lost(
    overdue: TaskResult, priority: int, again: int
) -> None:
    """By what has its priority: others may be served sooner."""
    TaskResult.objects.filter(id=overdue.id).update(priority=4)
    later = echo.apply_async([2], priority=priority)
    eventually(lambda: broker().size("default") == 1)

    TaskResult.objects.claim([later.id], "w.1")

    assert lost.send_again(["default"]) == again
    assert lost.send_again(["default"]) == 0


def test_what_was_sent_before_overtakes_nobody(overdue: TaskResult) -> None:
    earlier = echo.delay(2)
    assert overdue.awaited_at is not None
    TaskResult.objects.claim([earlier.id], "w.1")
    TaskResult.objects.filter(id=earlier.id).update(created_at=overdue.awaited_at - dt.timedelta(seconds=1))

    assert lost.send_again(["default"]) == 0


def test_what_was_moved_behind_others_is_not_overtaken_by_them(overdue: TaskResult) -> None:
    later = echo.apply_async([2], queue="other", priority=overdue.priority)
    TaskResult.objects.claim([later.id], "w.1")
    echo.apply_async([3], queue="other")
    eventually(lambda: broker().size("other") == 2)

    TaskResult.objects.rehouse([overdue.id], "other")

    assert lost.send_again(["other"]) == 0


def test_queues_of_others_are_theirs_to_look_after(overdue: TaskResult) -> None:
    assert lost.send_again(["other"]) == 0


def test_a_task_of_another_program_is_not_sent_twice(overdue: TaskResult) -> None:
    TaskResult.objects.update(task="elsewhere.task")

    assert lost.send_again(["default"]) == 0
    assert broker().size("default") == 0


def test_a_claimed_or_ended_task_is_not_lost(overdue: TaskResult) -> None:
    TaskResult.objects.claim([overdue.id], "somebody")

    assert lost.send_again(["default"]) == 0
    overdue.refresh_from_db()
    assert overdue.awaited_at is None
