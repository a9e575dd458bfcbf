"""The list of tasks: what it shows, and which rows."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from django_tasks import clock, registry, states
from django_tasks.admin import TaskResultAdmin, task_states

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


@pytest.mark.parametrize(
    ("id", "shown"),
    [
        ("01a1fc27-55d5-728b-a688-af65149b584d", "…149b584d"),
        ("order/42?x=1", "order/42?x=1"),
        ("<b>" * 9, "…b&gt;&lt;b&gt;&lt;b&gt;"),
    ],
)
def test_the_end_of_an_id_stands_below_the_name_and_all_of_it_is_copied(
    page: Client, make_task: Any, id: str, shown: str
) -> None:
    make_task(id=id)

    html = page.get(LIST).text

    given = escape(id)
    assert f'data-tasks-copy="{given}" title="Copy the id: {given}">{shown}</span>' in html


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


def test_a_list_takes_two_queries_besides_the_user_and_its_rows_one(
    page: Client, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        make_task(args=f"({number},)", worker="w")
    page.get(LIST)

    for query in ({}, {"status": states.PENDING}, {"queue": "default"}):
        with django_assert_num_queries(3):
            page.get(LIST, query)
    with django_assert_num_queries(2):
        page.get(LIST, {"_fragment": "tasks"})


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


def turned(page: Client, way: str, asked: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The ids of a page, and what to ask for the one that lies this way from it."""
    cl = page.get(LIST, asked).context["cl"]
    url = cl.older_url if way == "older" else cl.newer_url
    return [row.id for row in cl.result_list], dict(parse_qsl(url.lstrip("?")))


@pytest.mark.parametrize("asked", [{}, {"q": "shop."}, {"group_id": "group"}, {"status": states.PENDING}])
def test_pages_are_turned_to_the_end_and_back(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str]
) -> None:
    monkeypatch.setattr(TaskResultAdmin, "list_per_page", 4)
    # Several of one moment: the key decides between them.
    made = [
        make_task(group_id="group", group_index=n, created_at=NOW + dt.timedelta(minutes=n // 3)).id
        for n in range(10)
    ]
    shown, following = turned(page, "older", asked)
    pages = [shown]
    while following:
        shown, following = turned(page, "older", {**asked, **following})
        pages.append(shown)
    assert [len(shown) for shown in pages] == [4, 4, 2]
    assert sorted(id for shown in pages for id in shown) == sorted(made)

    _, before_last = turned(page, "older", asked)
    middle, further = turned(page, "older", {**asked, **before_last})
    last, back = turned(page, "newer", {**asked, **further})
    assert (middle, last) == (pages[1], pages[2])
    again, back = turned(page, "newer", {**asked, **back})
    assert again == pages[1]
    first, none = turned(page, "newer", {**asked, **back})
    assert (first, none) == (pages[0], {})


@pytest.mark.parametrize("place", ["spoilt", "WyJ4Il0", "bnVsbA", "", "W10", "eyJhIjoxfQ"])
def test_a_place_that_is_none_leads_to_the_first_page(page: Client, make_task: Any, place: str) -> None:
    make_task(id="one")

    assert ids(page, older=place) == ids(page, newer=place) == ["one"]


@pytest.mark.parametrize("index", ["Infinity", "NaN", "1" * 5000, "[" * 3000])
def test_a_place_that_no_row_can_have_is_none(page: Client, make_task: Any, index: str) -> None:
    make_task(id="one", group_id="g", group_index=0)
    place = base64.urlsafe_b64encode(f'[{index}, {index}, "a"]'.encode()).decode()

    assert ids(page, group_id="g", older=place) == ids(page, group_id="g", newer=place) == ["one"]


def counts(page: Client, **asked: str) -> dict[str, str]:
    html = page.get(LIST, {**asked, "_fragment": "states"}).text
    found = re.findall(r"</span> ([^<]+?)(?: <span class=\"tasks-count\">([^<]*)</span>)?</a>", html)
    return dict(found)


def test_the_tabs_tell_how_many_tasks_there_are_of_a_state(page: Client, make_task: Any) -> None:
    for status in (states.FAILURE, states.FAILURE, states.PENDING, states.SUCCESS):
        make_task(status=status)

    found = counts(page)

    assert (found["Failure"], found["Pending"], found["Retry"], found["Success"]) == ("2", "1", "0", "")
    assert counts(page, status=states.PENDING) == found


def test_nothing_is_counted_with_the_page_or_where_no_index_would_help(page: Client, make_task: Any) -> None:
    make_task(status=states.FAILURE)

    assert "tasks-count" not in page.get(LIST).text
    assert counts(page, task="shop.tasks.pay")["Failure"] == ""


def test_counting_stops_after_ten_thousand(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert task_states.MOST == 10_000
    monkeypatch.setattr(task_states, "MOST", 2)
    for _ in range(3):
        make_task(status=states.FAILURE)

    with CaptureQueriesContext(connection) as queries:
        assert counts(page)["Failure"] == "2+"
    assert "LIMIT 3" in queries.captured_queries[-1]["sql"]


def test_the_tabs_keep_the_other_parameters_and_drop_the_place(page: Client) -> None:
    html = page.get(LIST, {"queue": "mail", "older": "x", "status": "RETRY"}).text

    assert 'href="?queue=mail&amp;status=FAILURE"' in html
    assert 'href="?queue=mail"' in html
    assert 'href="?queue=mail&amp;status=RETRY" aria-current="true"' in html


def test_the_states_take_one_query_besides_the_user_and_the_page(
    page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    page.get(LIST)

    with django_assert_num_queries(3):
        counts(page)


def test_a_part_of_the_list_that_has_not_changed_is_not_sent_again(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_tasks.clock.now", lambda: NOW)
    make_task()
    for name in ("states", "tasks"):
        first = page.get(LIST, {"_fragment": name})
        again = page.get(LIST, {"_fragment": name}, headers={"If-None-Match": first.headers["ETag"]})

        assert (first.status_code, again.status_code) == (200, 304)


def test_arguments_are_for_those_who_may_see_them(client: Client, make_task: Any) -> None:
    make_task(args="(4711,)", result='"8822"')
    user = User.objects.create_user("clerk", is_staff=True)
    client.force_login(user)
    for permission, is_shown in (("view_taskresult", False), ("view_payload", True)):
        user.user_permissions.add(Permission.objects.get(codename=permission))

        assert ("4711" in client.get(LIST).text) is is_shown
        for kind in ("csv", "jsonl"):
            answer: Any = client.post(f"{LIST}export/", {"everything": "1", "format": kind})
            told = b"".join(answer).decode()
            assert ("4711" in told, "8822" in told) == (is_shown, is_shown)


@pytest.mark.parametrize(("window", "there"), [("1h", ["new"]), ("24h", ["new", "old"]), ("spoilt", [])])
def test_the_window_leaves_what_was_sent_within_it(
    page: Client, make_task: Any, window: str, there: list[str]
) -> None:
    for id, hours in (("new", 0), ("old", 2), ("older", 30)):
        make_task(id=id, created_at=clock.to_storage(clock.now() - dt.timedelta(hours=hours)))

    assert ids(page, window=window) == there


def test_what_no_index_finds_is_looked_for_among_the_tasks_of_a_day(page: Client, make_task: Any) -> None:
    for id, days in (("new", 0), ("old", 3)):
        sent = clock.to_storage(clock.now() - dt.timedelta(days=days))
        make_task(
            id=id,
            created_at=sent,
            retries=2,
            started_at=sent,
            finished_at=sent + dt.timedelta(seconds=12),
        )

    for asked in ({"slower": "10"}, {"attempts": "3"}):
        assert ids(page, **asked) == ["new"]
        assert ids(page, **asked, window="7d") == ["new", "old"]
    assert ids(page, slower="13") == ids(page, attempts="4") == ids(page, slower="x") == []


def test_tasks_are_exported_as_a_file_and_that_is_written_down(page: Client, make_task: Any) -> None:
    make_task(id="one", task="=cmd()", result='{"password": "x"}')
    make_task(id="two", queue="mail")

    as_csv: Any = page.post(f"{LIST}export/", {"_selected_action": ["one"], "format": "csv"})
    as_json: Any = page.post(f"{LIST}export/", {"everything": "1", "asked": "queue=mail", "format": "jsonl"})

    head, line = csv.reader(b"".join(as_csv).decode().splitlines(keepends=True))
    assert head[:4] == ["id", "task", "status", "queue"]
    assert line[:4] == ["one", "'=cmd()", "PENDING", "default"]
    assert json.loads(line[-1]) == {"password": "********"}
    assert json.loads(b"".join(as_json))["id"] == "two"
    assert as_csv.headers["Content-Disposition"] == 'attachment; filename="tasks.csv"'
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "export (1): csv",
        "export (1): jsonl",
    ]


def test_no_link_exports_anything_and_no_unknown_format_is_written(page: Client, make_task: Any) -> None:
    assert page.get(f"{LIST}export/").status_code == 405
    assert page.post(f"{LIST}export/", {"everything": "1", "format": "exe"}).status_code == 404


def test_an_empty_list_says_what_to_do(page: Client) -> None:
    assert "No task was sent yet." in page.get(LIST).text
    assert "No task matches." in page.get(LIST, {"queue": "mail"}).text


def test_what_is_ticked_is_posted_with_what_the_list_shows(page: Client, make_task: Any) -> None:
    make_task(id="one")

    html = page.get(LIST, {"queue": "default", "status": "PENDING"}).text

    assert 'type="checkbox" class="tasks-tick" name="_selected_action" value="one"' in html
    assert 'name="asked" value="queue=default&amp;status=PENDING"' in html
    assert 'formaction="/admin/django_tasks/taskresult/action/retry/"' in html
    assert 'formaction="/admin/django_tasks/taskresult/action/edit/"' not in html
