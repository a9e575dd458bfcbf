"""Since when the fleet has seen the database without a break."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from django_tasks import clock
from django_tasks.models import Sight

GAP = dt.timedelta(seconds=20)

pytestmark = pytest.mark.django_db


def moment(seconds: float) -> dt.datetime:
    return clock.to_storage(dt.datetime(2026, 1, 1, 12, microsecond=123456, tzinfo=dt.UTC)) + dt.timedelta(
        seconds=seconds
    )


def test_who_was_told_before_asks_with_one_statement(django_assert_num_queries: Any) -> None:
    since = Sight.objects.keep(moment(0), GAP)

    with django_assert_num_queries(1):
        told = Sight.objects.keep(moment(10), GAP, since)

    assert told == since == moment(0)
    assert Sight.objects.get().until == moment(10)


def test_who_comes_anew_is_told_what_the_fleet_has_seen() -> None:
    Sight.objects.keep(moment(0), GAP)

    assert Sight.objects.keep(moment(10), GAP) == moment(0)


def test_after_too_long_a_gap_it_begins_anew_whatever_was_told_before() -> None:
    since = Sight.objects.keep(moment(0), GAP)

    assert Sight.objects.keep(moment(30), GAP, since) == moment(30)


def test_if_another_has_begun_anew_everybody_is_told() -> None:
    since = Sight.objects.keep(moment(0), GAP)
    Sight.objects.keep(moment(30), GAP)

    assert Sight.objects.keep(moment(40), GAP, since) == moment(30)
