"""The list of tasks: what it shows, and which rows."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks import registry, states
from django_tasks.admin.paginator import CappedPaginator

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
LIST = reverse("admin:django_tasks_taskresult_changelist")


def ids(page: Client, **query: Any) -> list[str]:
    """Of the rows that a page lists, in their order."""
    response = page.get(LIST, query)
    assert response.status_code == 200
    return [row.id for row in response.context["cl"].result_list]


def test_the_newest_task_comes_first(page: Client, make_task: Any) -> None:
    for name, minutes in (("middle", 2), ("old", 9), ("new", 1)):
        make_task(id=name, created_at=NOW - dt.timedelta(minutes=minutes))

    assert ids(page) == ["new", "middle", "old"]


def test_a_line_says_what_ran_with_what_where_and_how_long(page: Client, make_task: Any) -> None:
    make_task(
        task="shop.tasks.pay",
        status=states.SUCCESS,
        queue="mail",
        args="(4711,)",
        kwargs="{'eur': 3}",
        worker="worker@web-1",
        started_at=NOW + dt.timedelta(seconds=1.5),
        finished_at=NOW + dt.timedelta(seconds=5),
    )

    html = page.get(LIST).text

    assert 'title="shop.tasks.pay">pay</span>' in html
    assert "(4711,) {&#x27;eur&#x27;: 3}" in html
    for shown in (
        "Success",
        ">mail<",
        ">1.5 s<",
        ">3.5 s<",
        "worker@web-1",
        'title="2026-03-01T12:00:00.000+00:00"',
    ):
        assert shown in html


def test_a_task_without_arguments_shows_none(page: Client, make_task: Any) -> None:
    make_task(args="()", kwargs="{}")

    assert "tasks-quiet" not in page.get(LIST).text


def test_a_running_task_counts_on(page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(status=states.STARTED, started_at=NOW, claimed_by="p1")
    monkeypatch.setattr("django_tasks.clock.now", lambda: NOW + dt.timedelta(seconds=75))

    assert ">1 min 15 s<" in page.get(LIST).text


def test_a_task_waiting_for_its_next_try_does_not_count_on(page: Client, make_task: Any) -> None:
    make_task(status=states.RETRY, started_at=NOW, claimed_by=None)

    assert 'class="field-run_time">–<' in page.get(LIST).text  # noqa: RUF001


@pytest.mark.parametrize("status", [states.SUCCESS, states.FAILURE, states.PENDING, "PROGRESS"])
def test_the_status_filter_leaves_the_tasks_of_one_status(page: Client, make_task: Any, status: str) -> None:
    for each in (states.SUCCESS, states.FAILURE, states.PENDING, "PROGRESS"):
        make_task(id=each, status=each)

    assert ids(page, status=status) == [status]


def test_the_task_filter_offers_the_registered_tasks(page: Client, make_task: Any) -> None:
    make_task(id="blog", task="testproject.blog.tasks.spam_filter")
    make_task(id="other")

    assert "?task=testproject.blog.tasks.spam_filter" in page.get(LIST).text
    assert ids(page, task="testproject.blog.tasks.spam_filter") == ["blog"]


def test_a_tasks_module_that_is_broken_does_not_take_the_list_down(
    page: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.DJANGO_TASKS = {"IMPORTS": ["no.such.module"]}
    monkeypatch.setattr(registry.tasks, "_discovered", False)

    assert page.get(LIST).status_code == 200


def test_the_queue_filter_offers_the_declared_queues(
    page: Client, make_task: Any, settings: Settings
) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": ["mail"]}
    make_task(id="there", queue="mail")
    make_task(id="elsewhere")

    assert {"?queue=mail", "?queue=default"} <= set(re.findall(r"\?queue=\w+", page.get(LIST).text))
    assert ids(page, queue="mail") == ["there"]


def test_a_value_that_no_filter_offers_stands_among_the_choices_while_it_is_asked_for(page: Client) -> None:
    html = page.get(LIST, {"task": "retired.tasks.old"}).text

    assert re.search(r'class="selected">\s*<a href="\?task=retired.tasks.old">retired.tasks.old</a>', html)


def test_filters_can_be_combined(page: Client, make_task: Any) -> None:
    make_task(id="both", status=states.FAILURE, queue="other")
    make_task(id="status only", status=states.FAILURE)
    make_task(id="queue only", queue="other")

    assert ids(page, status=states.FAILURE, queue="other") == ["both"]


@pytest.mark.parametrize(
    "lookup", ["message__contains", "message", "result__startswith", "id__in", "status__in"]
)
def test_lookups_that_no_filter_offers_are_refused(page: Client, lookup: str) -> None:
    assert page.get(LIST, {lookup: "x"}).status_code == 400


def test_the_list_can_not_be_sorted_by_another_column(page: Client, make_task: Any) -> None:
    make_task(id="new", task="b", created_at=NOW)
    make_task(id="old", task="a", created_at=NOW - dt.timedelta(days=1))

    assert "?o=" not in page.get(LIST).text


def test_a_list_takes_two_queries_besides_the_user(
    page: Client, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        make_task(args=f"({number},)", worker="w")
    page.get(LIST)

    for query in ({}, {"p": "2"}, {"status": states.PENDING}, {"queue": "default"}):
        with django_assert_num_queries(3):
            page.get(LIST, query)


def test_a_search_takes_three_queries_besides_the_user(
    page: Client, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_task(id="one")
    page.get(LIST)

    for term in ("one", "shop.tasks", "nothing"):
        with django_assert_num_queries(4):
            page.get(LIST, {"q": term})


def test_large_and_secret_columns_are_not_read(page: Client, make_task: Any) -> None:
    make_task()

    with CaptureQueriesContext(connection) as queries:
        page.get(LIST)

    sql = " ".join(query["sql"] for query in queries.captured_queries)
    assert connection.ops.quote_name("args") in sql
    for column in ("message", "result", "traceback"):
        assert connection.ops.quote_name(column) not in sql


def test_fifty_tasks_are_on_a_page(page: Client, make_task: Any) -> None:
    for _ in range(51):
        make_task()

    assert len(ids(page)) == 50
    assert len(ids(page, p=2)) == 1


def test_of_a_long_table_only_the_newest_are_counted_and_paged(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(105):
        make_task()
    monkeypatch.setattr(CappedPaginator, "limit", 100)

    html = page.get(LIST).text

    assert "100+ tasks" in html
    assert "100+ results" in html
    assert "?p=2" in html
    assert "?p=3" not in html


def test_counting_stops_after_ten_thousand(page: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        page.get(LIST)

    (count,) = (query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"])
    assert "LIMIT 10001" in count


def test_a_short_table_is_counted_exactly(page: Client, make_task: Any) -> None:
    make_task()

    html = page.get(LIST).text

    assert "1 task" in html
    assert "+ tasks" not in html


def test_ten_thousand_are_counted_and_said_so() -> None:
    assert CappedPaginator.limit == 10_000
    assert CappedPaginator([], 50).at_least == "10,000+"
