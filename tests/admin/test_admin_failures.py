"""The page of failures: kinds of them, and what is done about all of a kind."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks import clock, registry
from django_tasks.admin import TaskResultAdmin
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.message.task_id import new_task_id
from django_tasks.models import FailureGroup, FailureHour, TaskAttempt, TaskResult, counting
from django_tasks.models.failure import hour_of
from django_tasks.steering import bulk
from django_tasks.steering.selection import Selection

pytestmark = pytest.mark.django_db

KIND = "0123456789abcdef"


def ago(**span: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(**span))


def kind(fingerprint: str = KIND, **fields: Any) -> FailureGroup:
    given = {
        "task": "shop.tasks.pay",
        "error_type": "ConnectionError",
        "sample": "no route to 10.0.0.1",
        "count": 412,
        "first_seen": ago(days=3),
        "last_seen": ago(minutes=2),
    }
    return FailureGroup.objects.create(fingerprint=fingerprint, **{**given, **fields})


def in_hour(count: int, fingerprint: str = KIND, **span: float) -> None:
    FailureHour.objects.create(fingerprint=fingerprint, hour=hour_of(ago(**span)), count=count)


def failed(make_task: Any, **fields: Any) -> TaskResult:
    message = TaskMessage(id=new_task_id(), task="tests.ledger.tasks.add", args=(1, 2))
    given = {
        "id": message.id,
        "task": message.task,
        "message": encode(message).to_text(),
        "status": "FAILURE",
        "fingerprint": KIND,
        "finished_at": ago(minutes=5),
    }
    row: TaskResult = make_task(**{**given, **fields})
    return row


def url(name: str = "", **asked: str) -> str:
    if name:
        return reverse("admin:django_tasks_failures_action", args=[name])
    return reverse("admin:django_tasks_failures", query=asked)


def shown(page: Client, **asked: str) -> str:
    return page.get(url(**asked)).content.decode()


def do(page: Client, name: str, **more: str) -> str:
    response = page.post(url(name), {"row": KIND, **more}, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def in_the_background() -> None:
    """What a worker would do now of what was asked of it."""
    for row in TaskResult.objects.waiting().filter(task=bulk.DO_TO_ALL):
        registry.find(bulk.DO_TO_ALL).apply(row.to_message().args, throw=True)
        row.delete()


def test_a_kind_is_told_of_in_one_line(page: Client) -> None:
    kind()
    in_hour(7)
    in_hour(100, hours=20)
    in_hour(1000, days=5)

    lines = page.get(url()).context["lines"]()

    (line,) = lines
    assert (line.last_hour, line.last_day, line.last_week, line.kind.count) == (7, 107, 1107, 412)
    assert line.kind.hours[-1] == 7
    assert "107 failures in 24 hours" in line.sparkline
    html = shown(page)
    assert "ConnectionError" in html
    assert "no route to 10.0.0.1" in html
    assert f"?fingerprint={KIND}" in html


def test_what_a_failure_said_is_text(page: Client) -> None:
    kind(sample="<script>alert(1)</script>", task="<b>", note="<i>", acknowledged_at=ago(minutes=9))

    html = shown(page)

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "<code><b>" not in html


def test_a_page_costs_few_queries_however_many_kinds_there_are(page: Client) -> None:
    for number in range(60):
        kind(f"{number:016x}", last_seen=ago(minutes=number))
        in_hour(1, f"{number:016x}")

    with CaptureQueriesContext(connection) as asked:
        response = page.get(url())

    assert len(asked) <= 6
    assert len(response.context["lines"]()) == 25
    first, *_ = page.get(url(before=response.context["older"])).context["lines"]()
    assert first.kind.fingerprint == f"{25:016x}"


def test_a_part_of_the_page_can_be_asked_for_again(page: Client) -> None:
    kind()

    part = page.get(url(_fragment="failures")).content.decode()

    assert "ConnectionError" in part
    assert "<html" not in part


@pytest.mark.parametrize("before", ["nonsense", "9999-99-99", "0001-01-01T00:00:00+14:00"])
def test_a_place_that_is_none_is_the_beginning(page: Client, before: str) -> None:
    kind()

    assert "ConnectionError" in shown(page, before=before)


def test_an_acknowledged_kind_is_shown_again_when_it_comes_again(page: Client) -> None:
    group = kind()

    asked = do(page, "acknowledge")
    do(page, "acknowledge", confirmed="1", note="The bank is down.")
    hidden, known = shown(page), shown(page, show="all")
    FailureGroup.objects.filter(pk=group.pk).update(last_seen=ago(minutes=-1))

    assert "Note" in asked
    assert "ConnectionError" not in hidden
    assert "boss" in known
    assert "The bank is down." in known
    assert "came again" in shown(page)


def test_a_muted_kind_is_among_the_muted(page: Client) -> None:
    kind()

    do(page, "mute")
    muted = "ConnectionError" in shown(page), "ConnectionError" in shown(page, show="muted")
    do(page, "unmute")

    assert muted == (False, True)
    assert "ConnectionError" in shown(page)


def test_all_of_a_kind_are_sent_again_and_none_of_them_twice(page: Client, make_task: Any) -> None:
    kind()
    rows = [failed(make_task) for _ in range(3)]
    other = failed(make_task, fingerprint="f" * 16)

    asked = do(page, "retry")
    for _ in range(2):
        do(page, "retry", confirmed="1")
        in_the_background()

    again = TaskResult.objects.filter(parent_id__in=[row.id for row in [*rows, other]])
    assert "This is about 3" in asked
    assert sorted(row.parent_id or "" for row in again) == sorted(row.id for row in rows)


def test_all_of_a_kind_are_discarded_with_their_attempts(page: Client, make_task: Any) -> None:
    kind()
    row, other = failed(make_task), failed(make_task, fingerprint="f" * 16)
    TaskAttempt.objects.create(
        task_id=row.id, number=1, ending="FAILURE", finished_at=ago(minutes=5), fingerprint=KIND
    )

    do(page, "discard", confirmed="1")
    in_the_background()

    left = TaskResult.objects.filter(task="tests.ledger.tasks.add")
    assert [task.id for task in left] == [other.id]
    assert not TaskAttempt.objects.exists()
    assert FailureGroup.objects.get().count == 412


def test_who_sees_only_some_tasks_does_nothing_to_all_of_a_kind(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind()
    failed(make_task)
    seen = TaskResultAdmin.get_queryset
    monkeypatch.setattr(
        TaskResultAdmin, "get_queryset", lambda self, request: seen(self, request).filter(id="mine")
    )

    refused = [
        page.post(url(name), {"row": KIND, "confirmed": "1"}).status_code for name in ("retry", "discard")
    ]
    html = shown(page)

    assert refused == [403, 403]
    assert ("Mute" in html, "Retry all" in html, "Discard all" in html) == (True, False, False)
    assert not TaskResult.objects.filter(task=bulk.DO_TO_ALL).exists()


def test_what_was_done_is_written_down(page: Client) -> None:
    kind()

    do(page, "mute")

    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message().split(" ")[0]) == (KIND, "mute")
    assert (
        "ConnectionError in shop.tasks.pay" in page.get(reverse("admin:django_tasks_audit")).content.decode()
    )


def test_no_word_is_wanted_to_say_that_one_knows_however_many_there_are(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind()
    failed(make_task), failed(make_task)
    monkeypatch.setattr(counting, "MOST", 1)

    asked = do(page, "acknowledge"), do(page, "retry")
    do(page, "acknowledge", confirmed="1", note="")

    assert ['name="word"' in html for html in asked] == [False, True]
    assert FailureGroup.objects.get().acknowledged_at is not None


@pytest.mark.parametrize(
    ("permission", "offered"),
    [
        ("view_taskresult", set()),
        ("retry_task", {"retry"}),
        ("change_failuregroup", {"acknowledge", "mute", "unmute"}),
        ("delete_taskresult", {"discard"}),
    ],
)
def test_each_deed_wants_its_permission(client: Client, permission: str, offered: set[str]) -> None:
    user = User.objects.create_user("someone", is_staff=True)
    codenames = {"view_taskresult", permission}
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    kind()

    response = client.get(url())

    assert set(response.context["tasks_actions"]) == offered
    for name in {"retry", "acknowledge", "mute", "unmute", "discard"} - offered:
        assert client.post(url(name), {"row": KIND}).status_code == 403


def test_who_may_see_no_tasks_sees_no_failures(client: Client) -> None:
    client.force_login(User.objects.create_user("someone", is_staff=True))

    assert client.get(url()).status_code == 403


def test_the_list_shows_the_tasks_of_a_kind_the_latest_first(page: Client, make_task: Any) -> None:
    first, last = failed(make_task, finished_at=ago(hours=2)), failed(make_task)
    failed(make_task, fingerprint="f" * 16)

    listed = page.get(reverse("admin:django_tasks_taskresult_changelist", query={"fingerprint": KIND}))

    assert [row.id for row in listed.context["cl"].result_list] == [last.id, first.id]
    assert Selection.shown({"fingerprint": KIND}).count(10) == 2
