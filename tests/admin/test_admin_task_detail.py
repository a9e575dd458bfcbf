"""One task's page."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks import states
from django_tasks.admin import timeline
from django_tasks.models import TaskAttempt, TaskResult
from django_tasks.steering.again import send_again
from tests.ledger.tasks import add

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings

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

    html = page.get(path(task)).text

    shown = re.sub(r"</?span[^>]*>", "", html)
    assert ">Traceback:\n  File &quot;x.py&quot;, line 1\nValueError: no</pre>" in shown


def test_a_result_is_indented_and_without_secrets(page: Client, make_task: Any) -> None:
    task = make_task(status=states.SUCCESS, result=json.dumps({"user": {"name": "Ada", "api_token": "t0p"}}))

    html = page.get(path(task)).text

    assert "{\n  &quot;user&quot;: {\n    &quot;name&quot;: &quot;Ada&quot;," in html
    assert "t0p" not in html


def test_an_error_is_shown_as_python_does(page: Client, make_task: Any) -> None:
    stored = {"exc_type": "Refused", "exc_module": "bank.errors", "exc_message": ["card", 7]}
    task = make_task(status=states.FAILURE, result=json.dumps(stored))

    assert ">bank.errors.Refused: card, 7</pre>" in page.get(path(task)).text


def test_the_message_is_neither_shown_nor_read_to_who_may_not_see_payloads(
    client: Client, make_task: Any
) -> None:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_taskresult"))
    client.force_login(user)
    task = make_task(
        status=states.SUCCESS, message='{"body": "unshortened"}', args="(4711,)", result='"8822"'
    )

    with CaptureQueriesContext(connection) as queries:
        html = client.get(path(task)).text
        raw = client.get(path(task).replace("/change/", "/raw/")).text

    for text in ("unshortened", "4711", "8822"):
        assert text not in html + raw
    sql = " ".join(query["sql"] for query in queries.captured_queries)
    assert (
        connection.ops.quote_name("django_tasks_taskresult") + "." + connection.ops.quote_name("message")
        not in sql
    )


def test_an_error_is_shown_to_who_may_not_see_payloads(client: Client, make_task: Any) -> None:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_taskresult"))
    client.force_login(user)
    stored = {"exc_type": "Refused", "exc_module": "bank.errors", "exc_message": ["card", 7]}
    task = make_task(status=states.FAILURE, result=json.dumps(stored))

    assert "bank.errors.Refused: card, 7" in client.get(path(task)).text


def test_a_page_takes_few_queries(
    page: Client, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    task = make_task(parent_id="sender", root_id="first", group_id="none")
    page.get(path(task))

    with django_assert_num_queries(6):
        page.get(path(task))


@pytest.mark.parametrize("id", ["order/42?x=1#y", "_5F", "a b", "é中", 'quo"te', "x" * 255, "..", "add"])
def test_an_id_that_a_user_chose_leads_to_its_page(page: Client, make_task: Any, id: str) -> None:
    make_task(id=id)
    listed = page.get(reverse("admin:django_tasks_taskresult_changelist"))
    (link,) = {listed.context["cl"].url_for_result(row) for row in listed.context["cl"].result_list}

    response = page.get(path(listed.context["cl"].result_list[0]))

    assert link == path(listed.context["cl"].result_list[0])
    assert response.status_code == 200
    assert response.context["original"].id == id


def sent(*args: Any, **kwargs: Any) -> TaskResult:
    return TaskResult.objects.get(id=add.apply_async(args, kwargs).id)


def test_the_payload_is_there_in_full_as_json_and_as_python(page: Client) -> None:
    html = page.get(path(sent("x" * 2000, y={"nested": [1]}))).text

    assert "x" * 2000 in html
    assert "&quot;nested&quot;: [\n      1\n    ]" in html
    assert "y={&#x27;nested&#x27;: [1]})" in html


def test_secrets_are_masked_in_both(page: Client, settings: Settings) -> None:
    settings.DJANGO_TASKS = {"REDACT": ["y"]}

    html = page.get(path(sent(1, y="the secret"))).text

    assert "the secret" not in html
    assert "add.delay(1, y=&#x27;********&#x27;)" in html


@pytest.mark.parametrize("part", ["value", "type", "x"])
def test_a_moment_is_hidden_as_a_whole_or_shown(page: Client, settings: Settings, part: str) -> None:
    settings.DJANGO_TASKS = {"REDACT": [part]}

    html = page.get(path(sent(dt.date(2026, 3, 1), [dt.date(2026, 3, 2)]))).text

    assert ("datetime.date(2026, 3, 1)" in html) == (part != "x")
    assert "datetime.date(2026, 3, 2)" in html


@pytest.mark.parametrize("depth", [50, 300, 450, 490])
def test_arguments_nested_too_deep_to_be_opened_are_not(page: Client, depth: int) -> None:
    nested: list[Any] = []
    for _level in range(depth):
        nested = [nested]

    html = page.get(path(sent(nested, 1))).text

    assert ("Full payload" in html) == (depth == 50)


def test_a_call_that_went_elsewhere_is_told_with_where(page: Client) -> None:
    add.apply_async((1, 2), priority=7)

    html = page.get(path(TaskResult.objects.get())).text

    assert "add.apply_async((1, 2), {}, queue=&#x27;default&#x27;, priority=7)" in html


def test_a_task_that_was_sent_again_leads_to_the_one_it_repeats(page: Client) -> None:
    first = sent(1, 2)
    TaskResult.objects.update(status=states.FAILURE)
    send_again([first.id], "seed")
    again = TaskResult.objects.exclude(id=first.id).get()

    assert f'repeats <a href="{path(first)}">{first.id}</a>' in page.get(path(again)).text


@pytest.mark.parametrize(
    ("status", "result", "shown"),
    [
        ("PROGRESS", '{"current": 1200, "total": 60000}', "1,200 of 60,000 (2 %)"),
        ("PROGRESS", '{"current": 2.5, "total": 10}', "2.5 of 10 (25 %)"),
        ("PROGRESS", '{"current": 70, "total": 60}', "60 of 60 (100 %)"),
        ("PROGRESS", '{"current": 1, "total": 0}', ""),
        ("PROGRESS", '{"current": "x", "total": null}', ""),
        ("PROGRESS", '{"current": NaN, "total": Infinity}', ""),
        ("PROGRESS", "[1]", ""),
        (states.SUCCESS, '{"current": 1, "total": 2}', ""),
    ],
)
def test_a_task_that_says_how_far_it_is_has_a_bar(
    page: Client, make_task: Any, status: str, result: str, shown: str
) -> None:
    html = page.get(path(make_task(status=status, result=result))).text

    assert ("<progress" in html) is bool(shown)
    assert shown in html


def test_a_failed_run_is_told_with_its_traceback(page: Client, make_task: Any) -> None:
    task = make_task(status=states.FAILURE, started_at=NOW, finished_at=NOW + dt.timedelta(seconds=4))
    for number, ending in ((1, "RETRY"), (2, "FAILURE")):
        TaskAttempt.objects.create(
            task_id=task.id,
            number=number,
            ending=ending,
            worker="w1",
            started_at=NOW,
            finished_at=NOW + dt.timedelta(seconds=number),
            error_type="OSError",
            message="<b>no</b>",
            traceback='Traceback\n  File "/site-packages/x.py", line 1\n    call()\n  File "/shop/pay.py", line 2\n',
        )

    html = page.get(path(task), {"_fragment": "attempts"}).text

    assert "asked to be tried again" in html
    assert html.count("OSError: &lt;b&gt;no&lt;/b&gt;") == 2
    assert (
        '<span class="tasks-library">  File &quot;/site-packages/x.py&quot;, line 1\n    call()\n</span>'
        in html
    )
    assert '<span class="tasks-own">  File &quot;/shop/pay.py&quot;, line 2\n</span>' in html
    assert ">2.0 s<" in html


def test_its_life_is_drawn_and_told(page: Client, make_task: Any) -> None:
    task = make_task(
        status=states.SUCCESS,
        started_at=NOW + dt.timedelta(seconds=3),
        finished_at=NOW + dt.timedelta(seconds=5),
    )

    html = page.get(path(task)).text

    assert 'aria-label="waited 3.0 s, ran 2.0 s"' in html
    assert re.findall(r'<rect class="(tasks-\w+)"', html) == ["tasks-waited", "tasks-good"]


def test_each_run_is_drawn_once(make_task: Any) -> None:
    task = make_task(
        status=states.FAILURE,
        started_at=NOW + dt.timedelta(seconds=10),
        finished_at=NOW + dt.timedelta(seconds=12),
    )
    first, last = (
        TaskAttempt(
            ending=ending,
            started_at=NOW + dt.timedelta(seconds=begin),
            finished_at=NOW + dt.timedelta(seconds=begin + 2),
        )
        for ending, begin in (("RETRY", 1), ("FAILURE", 10))
    )

    found = timeline.parts(task, [first, last], NOW)

    assert [(part.tone, part.span.seconds) for part in found] == [
        (None, 1),
        ("warn", 2),
        (None, 7),
        ("bad", 2),
    ]


def test_a_task_that_waits_has_waited_until_now(make_task: Any) -> None:
    (part,) = timeline.parts(make_task(), [], NOW + dt.timedelta(minutes=1))

    assert (part.tone, part.span) == (None, dt.timedelta(minutes=1))


def test_all_of_a_task_is_there_for_programs(page: Client) -> None:
    task = sent(1, y=2)

    raw = page.get(path(task).replace("/change/", "/raw/")).json()

    assert (raw["id"], raw["task"], raw["args"], raw["kwargs"]) == (task.id, add.name, [1], {"y": 2})
    assert dt.datetime.fromisoformat(raw["created_at"]).utcoffset() == dt.timedelta()
    assert page.get(path(task).replace(task.id, "unknown").replace("/change/", "/raw/")).status_code == 404


def test_what_has_ended_is_not_asked_for_again(page: Client, make_task: Any) -> None:
    running, over = make_task(status=states.STARTED), make_task(status=states.SUCCESS)

    assert "data-tasks-final" not in page.get(path(running)).text
    assert "data-tasks-final" in page.get(path(over)).text


def test_a_task_that_is_due_later_says_when(page: Client) -> None:
    add.apply_async((1, 2), eta=dt.datetime(2100, 1, 2, 3, 4, 5, tzinfo=dt.UTC))

    html = page.get(path(TaskResult.objects.get())).text

    assert "<span>due</span>" in html
    assert "2100-01-02 03:04:05" in html


def test_what_programs_read_can_be_unfolded_without_secrets(page: Client, settings: Settings) -> None:
    settings.DJANGO_TASKS = {"REDACT": ["y"]}

    html = page.get(path(sent(1, y="the secret"))).text

    (raw,) = re.findall(r'<pre class="tasks-block" id="tasks-raw">(.*?)</pre>', html, re.DOTALL)
    assert json.loads(unescape(raw))["kwargs"] == {"y": "********"}
    assert "the secret" not in html


def test_what_is_to_be_copied_is_on_the_page(page: Client) -> None:
    html = page.get(path(sent(1, y=2))).text

    wanted = set(re.findall(r'data-tasks-copy-from="([^"]+)"', html))
    assert wanted == {"tasks-python-call", "tasks-payload-1", "tasks-payload-2", "tasks-raw"}
    assert all(f'<pre class="tasks-block" id="{id}">' in html for id in wanted)


def test_djangos_own_tools_stand_once_before_our_buttons(page: Client, make_task: Any) -> None:
    html = page.get(path(make_task())).text

    assert html.count('class="historylink"') == 1
    bar, tools, head = (html.index(text) for text in ('class="tasks-tabs"', "tasks-tools", "tasks-head"))
    assert bar < tools < html.index('class="historylink"') < head


def test_moments_can_be_shown_in_another_zone(page: Client, make_task: Any, settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"

    html = page.get(path(make_task())).text

    exact = "2026-03-01T13:00:00.000+01:00"
    assert f'datetime="{exact}" title="{exact}" data-tasks-exact>2026-03-01 13:00:00+01:00</time>' in html
    (choice,) = re.findall(r"<select data-tasks-zone.*?</select>", html, re.DOTALL)
    assert re.findall(r'value="(\w*)"[^>]*>([^<]+)<', choice) == [
        ("", "Europe/Berlin"),
        ("local", "Local time"),
        ("utc", "UTC"),
    ]


def test_the_process_that_sent_it_is_named_to_who_may_see_payloads(page: Client, client: Client) -> None:
    task = sent(1, 2)

    assert f"gen{os.getpid()}@" in page.get(path(task)).text
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_taskresult"))
    client.force_login(user)
    assert "@" + os.uname().nodename not in client.get(path(task)).text
