"""Performance: tasks beside each other, and one by itself."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks import clock, states
from django_tasks.worker.rollups import Rollups

pytestmark = pytest.mark.usefixtures("steady_statements")

PERFORMANCE = reverse("admin:django_tasks_performance")
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|javascript:", re.IGNORECASE)
HOSTILE = '"><script>alert(1)</script>'
A_DAY = 86400


def ended(seconds: float, ran: float = 2, **values: Any) -> dict[str, Any]:
    finished = clock.now() - dt.timedelta(seconds=seconds)
    started = finished - dt.timedelta(seconds=ran)
    times = {"created_at": started, "started_at": started, "finished_at": finished}
    stored = {name: clock.to_storage(moment) for name, moment in times.items()}
    return {"status": states.SUCCESS, **stored, **values}


@pytest.fixture
def two_tasks(make_task: Any) -> None:
    """One became slower than the day before and fails, and another one is there for the first time."""
    make_task(**ended(100, ran=60))
    make_task(**ended(200, ran=60, status=states.FAILURE))
    make_task(**ended(300, ran=1, task="shop.tasks.ship"))
    make_task(**ended(A_DAY * 1.2, ran=2))
    Rollups().turn()


def line(html: str, task: str) -> str:
    (found,) = re.findall(rf"<code>{re.escape(task)}</code>.*?</tr>", html, re.DOTALL)
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", found, flags=re.DOTALL).split())


def test_where_nothing_ended_it_says_who_counts(page: Client) -> None:
    assert "manage.py runworker" in page.get(PERFORMANCE).text


def test_tasks_are_listed_by_the_time_they_took(page: Client, two_tasks: None) -> None:
    html = page.get(PERFORMANCE).text

    assert html.index("shop.tasks.pay") < html.index("shop.tasks.ship")
    assert "50.0 %" in line(html, "shop.tasks.pay")
    assert " 99." in line(html, "shop.tasks.pay")


def test_each_is_compared_with_the_time_before(page: Client, two_tasks: None) -> None:
    html = page.get(PERFORMANCE).text

    assert re.search(r"2 \+1\d\d % 50.0 % was 0.0 % .* \+\d+ %", line(html, "shop.tasks.pay"))
    assert "+" not in line(html, "shop.tasks.ship")


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "nonsense"])
@pytest.mark.parametrize("task", ["", "shop.tasks.pay", "unknown"])
def test_there_is_a_page_for_each_period_and_task(
    page: Client, two_tasks: None, period: str, task: str
) -> None:
    answer = page.get(PERFORMANCE, {"period": period, "task": task})

    (content,) = re.findall(r'<div id="content-main".*', answer.text, re.DOTALL)
    assert answer.status_code == 200
    assert not INLINE.search(content)


def test_a_tasks_page_shows_how_long_its_runs_took(page: Client, two_tasks: None) -> None:
    html = page.get(PERFORMANCE, {"task": "shop.tasks.pay"}).text

    assert "32.7 s – 1 min 05 s: 2" in html  # noqa: RUF001
    assert f"{reverse('admin:django_tasks_taskresult_changelist')}?task=shop.tasks.pay" in html


def test_names_are_escaped(page: Client, make_task: Any) -> None:
    make_task(**ended(100, task=HOSTILE))
    Rollups().turn()

    assert HOSTILE not in page.get(PERFORMANCE).text
    assert HOSTILE not in page.get(PERFORMANCE, {"task": HOSTILE}).text


def test_what_no_name_can_be_is_no_error(page: Client, db: None) -> None:
    assert page.get(PERFORMANCE, {"task": "\x00"}).status_code == 200


@pytest.mark.parametrize("task", ["", "shop.tasks.pay"])
def test_it_takes_one_question(page: Client, two_tasks: None, task: str) -> None:
    page.get(PERFORMANCE)

    with CaptureQueriesContext(connection) as asked:
        page.get(PERFORMANCE, {"task": task})

    assert len([query for query in asked if "django_tasks" in query["sql"]]) == 1
