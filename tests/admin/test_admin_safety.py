"""What the pages must never do: run somebody's script, change a row, show a secret, break a strict CSP."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_tasks import clock, states
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult, Worker

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"
MODELS = ("taskresult", "queuedmessage", "taskgroup", "worker")
#: What a page under `default-src 'self'` may not have.
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|javascript:", re.IGNORECASE)


def list_path(model: str) -> str:
    return reverse(f"admin:django_tasks_{model}_changelist")


def detail_path(row: Any) -> str:
    return reverse(f"admin:django_tasks_{row._meta.model_name}_change", args=[quote(row.pk)])


@pytest.fixture
def hostile_rows(
    make_task: Any, make_message: Any, make_group: Any, make_worker: Any
) -> tuple[TaskResult, QueuedMessage, TaskGroup, Worker]:
    columns = (
        "task",
        "status",
        "queue",
        "args",
        "kwargs",
        "worker",
        "claimed_by",
        "result",
        "traceback",
        "message",
        "parent_id",
        "root_id",
        "group_id",
    )
    every_text = {column: HOSTILE[:50] if column == "status" else HOSTILE[:64] for column in columns}
    return (
        make_task(**every_text),
        make_group(id=HOSTILE[:60], parent_id=HOSTILE, root_id=HOSTILE, body=json.dumps({"task": HOSTILE})),
        make_message(state="aside", queue=HOSTILE, reason=HOSTILE, claimed_by=HOSTILE[:64], payload=HOSTILE),
        make_worker(name=HOSTILE, hostname=HOSTILE, queues=HOSTILE, version=HOSTILE[:50]),
    )


@pytest.fixture
def ordinary_rows(
    make_task: Any, make_message: Any, make_group: Any, make_worker: Any
) -> tuple[TaskResult, QueuedMessage, TaskGroup, Worker]:
    return (
        make_task(status=states.FAILURE, args="(1,)", traceback="Traceback", result='{"exc_type": "E"}'),
        make_group(finished_at=clock.now(), pending=0, failed=1, body='{"task": "x", "args": [1]}'),
        make_message(state="aside", reason="unknown task", payload="the payload"),
        make_worker(),
    )


def assert_harmless(html: str) -> None:
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_hostile_text_in_any_column_is_text_in_a_list(page: Client, hostile_rows: Any) -> None:
    for model in MODELS:
        assert_harmless(page.get(list_path(model)).text)


def test_hostile_text_in_any_column_is_text_on_the_rows_page(page: Client, hostile_rows: Any) -> None:
    for row in hostile_rows:
        assert_harmless(page.get(detail_path(row)).text)


@pytest.mark.parametrize(
    "result",
    [
        '{"exc_type": "#", "exc_module": "#", "exc_message": ["#"]}',
        '{"#": ["#"]}',
        '"#"',
    ],
)
def test_hostile_text_within_a_result_is_text(page: Client, make_task: Any, result: str) -> None:
    html = page.get(
        detail_path(make_task(status=states.FAILURE, result=result.replace("#", "<script>alert(3)")))
    ).text

    assert "<script>alert(3)" not in html
    assert "&lt;script&gt;alert(3)" in html


def test_a_hostile_id_is_text(page: Client, make_task: Any) -> None:
    make_task(id=HOSTILE)

    assert "<script>alert" not in page.get(list_path("taskresult")).text


@pytest.mark.parametrize("parameter", ["q", "status", "task", "queue", "group_id", "origin"])
def test_hostile_text_in_the_address_is_text(page: Client, parameter: str) -> None:
    assert "<script>alert" not in page.get(list_path("taskresult"), {parameter: HOSTILE}).text


def test_no_page_has_inline_style_or_script(page: Client, ordinary_rows: Any) -> None:
    for path in [*map(list_path, MODELS), *map(detail_path, ordinary_rows)]:
        assert INLINE.findall(page.get(path).text) == []


def test_secrets_of_messages_are_on_no_page(page: Client, make_message: Any) -> None:
    message = make_message(state="aside", reason="unknown task", payload="the unshortened secret")

    for path in (list_path("queuedmessage"), detail_path(message)):
        assert "unshortened" not in page.get(path).text


def test_nothing_can_be_added(page: Client) -> None:
    for model in MODELS:
        assert page.get(reverse(f"admin:django_tasks_{model}_add")).status_code == 403


def test_nothing_can_be_changed(page: Client, ordinary_rows: Any) -> None:
    for row in ordinary_rows:
        before = page.get(detail_path(row)).text
        answer = page.post(detail_path(row), {"queue": "other", "name": "other"})
        row.refresh_from_db()

        assert 'name="_save"' not in before
        assert answer.status_code == 403
        assert getattr(row, "queue", None) != "other"


def test_nothing_can_be_deleted(page: Client, ordinary_rows: Any) -> None:
    for row in ordinary_rows:
        model = row._meta.model_name
        answer = page.post(reverse(f"admin:django_tasks_{model}_delete", args=[row.pk]), {"post": "yes"})
        page.post(
            list_path(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        )

        assert answer.status_code == 403
        assert type(row).objects.filter(pk=row.pk).exists()


def test_who_may_not_view_sees_nothing(client: Client, ordinary_rows: Any) -> None:
    client.force_login(User.objects.create_user("guest", is_staff=True))

    for path in [*map(list_path, MODELS), *map(detail_path, ordinary_rows)]:
        assert client.get(path).status_code == 403


def test_who_may_view_needs_no_other_permission(client: Client, ordinary_rows: Any) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=[f"view_{model}" for model in MODELS]))
    client.force_login(clerk)

    for path in [*map(list_path, MODELS), *map(detail_path, ordinary_rows)]:
        assert client.get(path).status_code == 200
