"""One task's page."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

from django_tasks import states

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

    from django_tasks.models import TaskResult

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def path(task: TaskResult) -> str:
    return reverse("admin:django_tasks_taskresult_change", args=[quote(task.id)])


def test_it_shows_all_there_is_to_know(page: Client, make_task: Any) -> None:
    task = make_task(
        id="one",
        status=states.SUCCESS,
        queue="mail",
        priority=7,
        args="(4711,)",
        kwargs="{'eur': 3}",
        result='"paid"',
        worker="worker@web-1",
        crashes=2,
        retries=3,
        started_at=NOW + dt.timedelta(seconds=1),
        finished_at=NOW + dt.timedelta(hours=2),
    )

    html = page.get(path(task)).text

    for shown in (
        "shop.tasks.pay",
        "one",
        "Success",
        "mail",
        ">7<",
        "(4711,)",
        "&quot;paid&quot;",
        "worker@web-1",
        ">2<",
        ">3<",
    ):
        assert shown in html
    for shown in ("2026-03-01 12:00:00+00:00", "2026-03-01 14:00:00+00:00", "1.0 s", "1 h 59 min"):
        assert shown in html


def test_a_traceback_keeps_its_lines(page: Client, make_task: Any) -> None:
    task = make_task(status=states.FAILURE, traceback='Traceback:\n  File "x.py", line 1\nValueError: no')

    assert '<pre class="tasks-block">Traceback:\n  File &quot;x.py&quot;, line 1\nValueError: no</pre>' in (
        page.get(path(task)).text
    )


def test_a_result_is_indented_and_without_secrets(page: Client, make_task: Any) -> None:
    task = make_task(status=states.SUCCESS, result=json.dumps({"user": {"name": "Ada", "api_token": "t0p"}}))

    html = page.get(path(task)).text

    assert "{\n  &quot;user&quot;: {\n    &quot;name&quot;: &quot;Ada&quot;," in html
    assert "t0p" not in html


def test_an_error_is_shown_as_python_does(page: Client, make_task: Any) -> None:
    stored = {"exc_type": "Refused", "exc_module": "bank.errors", "exc_message": ["card", 7]}
    task = make_task(status=states.FAILURE, result=json.dumps(stored))

    assert ">bank.errors.Refused: card, 7</pre>" in page.get(path(task)).text


def test_the_message_is_neither_shown_nor_read(
    page: Client, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    task = make_task(message='{"body": "the unshortened secret"}')
    page.get(path(task))

    with django_assert_num_queries(2) as queries:
        html = page.get(path(task)).text

    assert "unshortened" not in html
    assert "message" not in queries.captured_queries[-1]["sql"]


@pytest.mark.parametrize("id", ["order/42?x=1#y", "_5F", "a b", "é中", 'quo"te', "x" * 255, "..", "add"])
def test_an_id_that_a_user_chose_leads_to_its_page(page: Client, make_task: Any, id: str) -> None:
    make_task(id=id)
    listed = page.get(reverse("admin:django_tasks_taskresult_changelist"))
    (link,) = {listed.context["cl"].url_for_result(row) for row in listed.context["cl"].result_list}

    response = page.get(path(listed.context["cl"].result_list[0]))

    assert link == path(listed.context["cl"].result_list[0])
    assert response.status_code == 200
    assert response.context["original"].id == id
