"""Results are kept for RESULT_EXPIRES, and no longer (FEATURES BAK-10)."""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_tasks import clock, conf
from django_tasks.models import TaskGroup, TaskResult, Worker
from django_tasks.results import retention
from django_tasks.worker.board import Board
from django_tasks.worker.housekeeper import Housekeeper
from django_tasks.worker.options import WorkerOptions

pytestmark = pytest.mark.django_db

Send = Callable[..., str]


def ago(**span: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(**span))


def expires(value: Any) -> override_settings:
    return override_settings(DJANGO_TASKS={"RESULT_EXPIRES": value})


def left() -> set[str]:
    return set(TaskResult.objects.values_list("id", flat=True))


def test_by_default_a_result_is_kept_for_a_day(send: Send) -> None:
    send(status="SUCCESS", finished_at=ago(hours=26))
    kept = send(status="SUCCESS", finished_at=ago(hours=23))

    assert retention.prune_all() == 1
    assert left() == {kept}


@pytest.mark.parametrize("span", [60, 60.0, dt.timedelta(minutes=1)])
def test_seconds_and_spans_are_understood(send: Send, span: object) -> None:
    send(status="FAILURE", finished_at=ago(seconds=70))
    kept = send(status="FAILURE", finished_at=ago(seconds=30))

    with expires(span):
        assert retention.prune_all() == 1

    assert left() == {kept}


@pytest.mark.parametrize("never", [None, 0, dt.timedelta(0)])
def test_results_can_be_kept_for_ever_and_no_database_is_asked(send: Send, never: object) -> None:
    kept = send(status="SUCCESS", finished_at=ago(days=9999))

    with expires(never), CaptureQueriesContext(connection) as asked:
        assert retention.prune_all() == 0

    assert (left(), len(asked)) == ({kept}, 0)


@pytest.mark.parametrize("long", [10**15, dt.timedelta.max])
def test_a_time_beyond_all_reckoning_is_no_error(send: Send, long: object) -> None:
    kept = send(status="SUCCESS", finished_at=ago(days=365))

    with expires(long):
        assert retention.prune_all() == 0

    assert left() == {kept}


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "REVOKED", "IGNORED"])
def test_every_kind_of_end_expires(send: Send, status: str) -> None:
    send(status=status, finished_at=ago(days=2))

    assert retention.prune_all() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": "STARTED", "claimed_by": "worker"},
        {"status": "RETRY"},
        {"status": "PROGRESS", "claimed_by": "worker"},
    ],
)
def test_what_has_not_ended_is_kept_however_old_it_is(send: Send, fields: dict[str, Any]) -> None:
    kept = send(created_at=ago(days=30), started_at=ago(days=30), **fields)

    assert retention.prune_all() == 0
    assert left() == {kept}


def test_many_are_deleted_batch_by_batch_the_oldest_first(
    monkeypatch: pytest.MonkeyPatch, send: Send
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    monkeypatch.setattr(retention, "PAUSE", 0)
    ids = [send(status="SUCCESS", finished_at=ago(days=2 + number)) for number in range(35)]

    first = retention.prune()

    assert (first, left()) == (10, set(ids[:25]))
    assert retention.prune_all() == 25
    assert not left()


def test_where_nothing_has_expired_one_look_at_an_index_is_all(send: Send) -> None:
    for _ in range(3):
        send(status="SUCCESS", finished_at=ago(hours=1))
    retention.prune()

    with CaptureQueriesContext(connection) as asked:
        retention.prune()

    # MariaDB and PostgreSQL are asked the time now and then.
    statements = [
        query["sql"] for query in asked.captured_queries if "django_tasks_taskresult" in query["sql"]
    ]
    assert len(statements) == 1
    if connection.vendor == "sqlite":
        rows = TaskResult.objects.final().filter(finished_at__lt=ago(days=1)).order_by("finished_at")
        assert "django_tasks_result_end" in rows.explain()


def test_a_batch_fits_into_every_databases_statement() -> None:
    assert retention.BATCH <= 1_000


@pytest.mark.parametrize("wrong", [-1, dt.timedelta(seconds=-1), float("nan"), "1 day", True])
def test_what_is_no_span_is_refused_with_a_sentence(wrong: object) -> None:
    with expires(wrong), pytest.raises(ImproperlyConfigured, match=r"RESULT_EXPIRES'\] must be .*, not "):
        conf.current()


def test_what_it_may_be_is_said_in_words() -> None:
    _, problems = conf.read({"RESULT_EXPIRES": "soon"})

    assert problems == ["DJANGO_TASKS['RESULT_EXPIRES'] must be a number or a timedelta or None, not 'soon'."]


def test_what_the_body_of_a_chord_waits_for_is_kept_until_it_is_sent(send: Send) -> None:
    """A member may have ended long before the last one does."""
    TaskGroup.objects.create(id="chord", total=2, pending=1, created_at=ago(days=3))
    held = send(status="SUCCESS", finished_at=ago(days=2), group_id="chord")
    send(status="SUCCESS", finished_at=ago(days=2), group_id="of another program")

    assert retention.prune_all() == 1
    assert left() == {held}

    TaskGroup.objects.update(pending=0, finished_at=ago(days=1, hours=1))
    assert retention.prune_all() == 2
    assert left() == set()
    assert not TaskGroup.objects.exists()


def a_worker(id: str, **values: Any) -> None:
    Worker.objects.create(
        id=id,
        name=id,
        pid=1,
        processes=1,
        threads=1,
        started_at=ago(days=9),
        lease_until=ago(days=3),
        **values,
    )


def a_housekeeper() -> Housekeeper:
    options = WorkerOptions(queues=("default",))
    return Housekeeper(options=options, board=Board(1, 1, uuid.uuid4().hex), pid=os.getpid())


def test_a_lost_worker_is_told_of_for_a_day() -> None:
    a_worker("long lost", lost_at=ago(hours=25))
    a_worker("lost", lost_at=ago(hours=23))
    a_worker("not given up by anybody")

    assert retention.prune_workers() == 1
    assert set(Worker.objects.values_list("id", flat=True)) == {"lost", "not given up by anybody"}


def test_a_batch_of_lost_workers_is_deleted_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(3):
        a_worker(f"worker {number}", lost_at=ago(days=2))

    assert [retention.prune_workers() for _ in range(3)] == [2, 1, 0]


def test_the_housekeeper_deletes_what_is_kept_for_a_time(send: Send) -> None:
    send(status="SUCCESS", finished_at=ago(days=3))
    a_worker("long lost", lost_at=ago(days=2))

    assert a_housekeeper().delete_expired() is None

    assert (left(), Worker.objects.count()) == (set(), 0)


def test_results_by_the_batch_do_not_keep_the_rest_waiting(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(3):
        send(status="SUCCESS", finished_at=ago(days=3))
    a_worker("long lost", lost_at=ago(days=2))

    assert a_housekeeper().delete_expired() == retention.PAUSE

    assert (len(left()), Worker.objects.count()) == (1, 0)


def test_whatever_there_is_much_of_is_deleted_batch_after_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for number in range(3):
        a_worker(f"worker {number}", lost_at=ago(days=2))
    housekeeper = a_housekeeper()

    assert [housekeeper.delete_expired() for _ in range(2)] == [retention.PAUSE, None]

    assert not Worker.objects.exists()
