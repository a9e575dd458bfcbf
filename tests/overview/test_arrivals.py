"""How fast tasks are sent, queue by queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from django_tasks.overview import arrivals
from django_tasks.overview.arrivals import sent_per_minute

from .conftest import Make, ago

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db


def test_what_was_sent_in_five_minutes_is_told_for_each_of_them(make_task: Make) -> None:
    for seconds in (1, 60, 240, 400):
        make_task(created_at=ago(seconds))
    make_task(queue="mail", created_at=ago(10))

    assert sent_per_minute() == {"default": 0.6, "mail": 0.2}


def test_where_more_is_sent_than_is_looked_at_the_time_is_shorter(
    make_task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MOST", 3)
    for seconds in (10, 20, 60, 70, 80):
        make_task(created_at=ago(seconds))

    # Three within a minute, and nearly so by the clock of this test.
    assert sent_per_minute()["default"] == pytest.approx(3, rel=0.1)


def test_where_nothing_was_sent_nothing_is_told() -> None:
    assert sent_per_minute() == {}


def test_it_takes_one_question(make_task: Make, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(5):
        make_task()

    with django_assert_num_queries(1):
        sent_per_minute()
