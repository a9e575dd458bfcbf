"""How long a task ran, beside those of its name before it."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

from django_tasks import states
from django_tasks.admin import similar
from django_tasks.models import TaskResult

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def ran(make_task: Any) -> Any:
    """A task that was sent so many minutes after twelve, and took that many seconds."""

    def make(minute: float, seconds: float, **values: Any) -> TaskResult:
        sent = NOW + dt.timedelta(minutes=minute)
        given = {
            "status": states.SUCCESS,
            "created_at": sent,
            "started_at": sent,
            "finished_at": sent + dt.timedelta(seconds=seconds),
        }
        return make_task(**{**given, **values})

    return make


def fragment(page: Client, task: TaskResult) -> str:
    path = reverse("admin:django_tasks_taskresult_change", args=[quote(task.id)])
    return page.get(path, {"_fragment": "runs"}).text


def titles(html: str) -> list[str]:
    """What the bars say of themselves."""
    return [unescape(text) for text in re.findall(r"<g><title>(.*?)</title>", html)]


def seconds(task: TaskResult) -> list[float]:
    return [run.span.total_seconds() for run in similar.runs(task, TaskResult.objects.all())]


def test_each_bar_tells_its_time_its_state_and_when(page: Client, ran: Any) -> None:
    ran(0, 2)
    ran(1, 4.5, status=states.FAILURE)
    own = ran(2, 3)

    assert titles(fragment(page, own)) == [
        "2.0 s · Success · 2026-03-01 12:00:00+00:00",
        "4.5 s · Failure · 2026-03-01 12:01:00+00:00",
        "this one · 3.0 s · Success · 2026-03-01 12:02:00+00:00",
    ]


def test_the_task_itself_is_marked_and_its_time_is_said(page: Client, ran: Any) -> None:
    ran(0, 2)
    ran(1, 4)
    ran(2, 9)

    html = fragment(page, ran(3, 3))

    columns = re.findall(r'<rect class="tasks-column([^"]*)"', html)
    assert columns == ["", "", "", " tasks-marked"]
    assert "this one: 3.0 s" in html
    assert html.count("The median of the 3 before it is 4.0 s.") == 2  # seen, and told


def test_the_last_twenty_are_shown_the_oldest_first(ran: Any) -> None:
    for number in range(30):
        ran(number, number)

    assert seconds(ran(30, 99)) == [*range(11, 30), 99]


def test_what_was_sent_later_and_other_tasks_are_not_shown(ran: Any) -> None:
    ran(0, 1)
    own = ran(1, 2)
    ran(2, 3)
    ran(0, 4, task="shop.tasks.payment")

    assert seconds(own) == [1, 2]


def test_of_many_sent_at_once_the_task_itself_is_always_among_them(ran: Any) -> None:
    several = [ran(0, 1 + number) for number in range(70)]

    for own in (several[0], several[-1]):
        runs = similar.runs(own, TaskResult.objects.all())
        assert (runs[-1].id, len({run.id for run in runs})) == (own.id, 20)


def test_a_task_that_did_not_run_is_no_bar(page: Client, ran: Any, make_task: Any) -> None:
    ran(0, 1)
    make_task(status=states.REVOKED, created_at=NOW, finished_at=NOW)
    own = make_task(created_at=NOW + dt.timedelta(minutes=1))

    assert seconds(own) == [1]
    html = fragment(page, own)
    assert "tasks-marked" not in html
    assert "The median of the 1 before it" in html


def test_a_running_task_grows_until_now(ran: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(0, 1)
    own = ran(1, 0, status=states.STARTED, finished_at=None, claimed_by="p1")
    monkeypatch.setattr("django_tasks.clock.now", lambda: own.started_at + dt.timedelta(seconds=75))

    assert seconds(own) == [1, 75]


def test_a_run_that_took_no_time_can_be_seen(page: Client, ran: Any) -> None:
    ran(0, 0)

    html = fragment(page, ran(1, 0))

    assert len(re.findall(r'<rect class="tasks-fill-good"', html)) == 2


def test_clocks_that_disagree_draw_nothing_below_the_line(ran: Any) -> None:
    ran(0, 1)

    assert seconds(ran(1, -5)) == [1, 0.000001]


@pytest.mark.parametrize("others", [0, 1])
def test_nothing_is_drawn_where_there_is_nothing_to_compare_with(page: Client, ran: Any, others: int) -> None:
    for _ in range(others):
        ran(0, 1)

    assert ("<svg" in fragment(page, ran(1, 1))) is bool(others)


def test_what_the_project_hides_from_a_user_is_not_shown(ran: Any) -> None:
    hidden, own = ran(0, 1), ran(1, 2)

    assert len(similar.runs(own, TaskResult.objects.exclude(id=hidden.id))) == 1


def test_however_many_wait_it_is_one_query_that_reads_few_rows(
    ran: Any, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ran(0, 1)
    for _ in range(similar.LOOKED_AT):
        own = make_task(created_at=NOW + dt.timedelta(minutes=1))

    with django_assert_num_queries(1) as queries:
        assert similar.runs(own, TaskResult.objects.all()) == []
    assert f"LIMIT {similar.LOOKED_AT}" in queries.captured_queries[0]["sql"]


def test_the_chart_leads_to_the_performance_of_the_task(page: Client, ran: Any) -> None:
    ran(0, 1, task="a&b/c")

    html = fragment(page, ran(1, 1, task="a&b/c"))

    assert f'href="{reverse("admin:django_tasks_performance")}?task=a%26b%2Fc"' in html
