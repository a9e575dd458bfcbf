"""Time, ours and the database's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from django_tasks import backoff, clock
from django_tasks.models import QueuedMessage

AUCKLAND = "Pacific/Auckland"


@pytest.fixture(autouse=True)
def unmeasured() -> Iterator[None]:
    clock._offsets.clear()
    yield
    clock._offsets.clear()


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().tzinfo is dt.UTC


@pytest.mark.django_db
def test_the_databases_time_is_aware_and_near_ours() -> None:
    assert abs(clock.database_now(connection) - clock.now()) < dt.timedelta(seconds=5)
    assert clock.database_now(connection).tzinfo is dt.UTC


@pytest.mark.django_db
def test_the_databases_time_does_not_depend_on_the_time_zone_of_its_session() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is not asked")
    zone = (
        "SET TIME ZONE 'Pacific/Auckland'"
        if connection.vendor == "postgresql"
        else "SET time_zone = '+13:00'"
    )
    with connection.cursor() as cursor:
        cursor.execute(zone)

    found = clock.database_now(connection)

    connection.close() if not connection.in_atomic_block else _reset_zone()
    assert abs(found - clock.now()) < dt.timedelta(seconds=5)


def _reset_zone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("RESET TIME ZONE" if connection.vendor == "postgresql" else "SET time_zone = 'SYSTEM'")


@pytest.mark.django_db
def test_the_database_is_asked_now_and_then_and_counted_on_between(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is not asked")
    here = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: here)
    first = clock.database_now(connection)

    with CaptureQueriesContext(connection) as between:
        monkeypatch.setattr(clock, "monotonic", lambda: here + 9)
        later = clock.database_now(connection)
    with CaptureQueriesContext(connection) as afterwards:
        monkeypatch.setattr(clock, "monotonic", lambda: here + 11)
        clock.database_now(connection)

    assert abs((later - first).total_seconds() - 9) < 0.001
    assert (len(between), len(afterwards)) == (0, 1)


def test_a_clock_that_is_off_is_put_right(monkeypatch: pytest.MonkeyPatch) -> None:
    away = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "_server_epoch", lambda _: away.timestamp())

    assert abs(clock.database_now(connection) - away) < dt.timedelta(seconds=5)


@pytest.mark.parametrize("use_tz", [True, False])
def test_what_goes_into_storage_comes_out_again(settings: Any, use_tz: bool) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, AUCKLAND
    moment = dt.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)

    assert clock.from_storage(clock.to_storage(moment)) == moment


def test_without_time_zones_the_projects_own_is_stored(settings: Any) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, AUCKLAND

    assert clock.to_storage(dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)) == dt.datetime(2026, 1, 2, 1)


def test_a_naive_moment_is_in_the_projects_time_zone(settings: Any) -> None:
    settings.TIME_ZONE = AUCKLAND

    assert clock.from_storage(dt.datetime(2026, 1, 2, 1)) == dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.mark.django_db
@pytest.mark.parametrize("use_tz", [True, False])
def test_microseconds_survive_the_database(settings: Any, use_tz: bool) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, AUCKLAND
    moment = dt.datetime(2026, 1, 1, 12, 30, 15, 123457, tzinfo=dt.UTC)

    row = QueuedMessage.objects.create(queue="default", payload="{}", sent_at=clock.to_storage(moment))

    row.refresh_from_db()
    assert clock.from_storage(row.sent_at) == moment


@given(failures=st.integers(1, 10_000))
def test_the_pause_after_failures_is_within_its_bounds(failures: int) -> None:
    assert 0.25 <= backoff.delay(failures) <= 30.0
    assert backoff.delay(failures, jitter=False) <= backoff.delay(failures + 1, jitter=False) <= 30.0


def test_the_pause_doubles_up_to_the_most() -> None:
    assert [backoff.delay(n, first=1, most=5, jitter=False) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


def test_many_do_not_return_at_once() -> None:
    assert len({backoff.delay(5) for _ in range(20)}) > 10
