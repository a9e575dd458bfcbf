"""What tasks are called with, and what they return, is on no page of who may do everything but see that."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client, RequestFactory
from django.urls import reverse

from django_tasks import clock, states
from django_tasks.admin import TasksInline
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.models import TaskResult
from testproject.blog.models import Entry
from tests.admin.test_admin_subjects import shown

from .addresses import actions, of_row, pages, visited

#: In arguments, results, progress and messages; in nothing else.
PAYLOAD = "the payload of it"
LIST = reverse("admin:django_tasks_taskresult_changelist")


@pytest.fixture
def clerk(db: None) -> User:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(codename="view_payload"))
    return user


@pytest.fixture
def browser(page: Client, clerk: User) -> Client:
    """Besides the one of a superuser, with the settings of that."""
    client = Client()
    client.force_login(clerk)
    return client


@pytest.fixture
def entry(db: None) -> Entry:
    return Entry.objects.create(slug="a", title="A")


@pytest.fixture
def rows(entry: Entry, make_task: Any, make_message: Any, make_group: Any, make_worker: Any) -> list[Any]:
    order = TaskMessage(id="one", task="tests.ledger.tasks.add", args=(PAYLOAD,), kwargs={"name": PAYLOAD})
    now, envelope = clock.to_storage(clock.now()), encode(order).to_text()
    told = json.dumps({"current": 1, "total": 2, "of": PAYLOAD})
    given = {
        "task": order.task,
        "args": f"('{PAYLOAD}',)",
        "kwargs": f"{{'name': '{PAYLOAD}'}}",
        "message": envelope,
        "created_at": now,
        "subject_type": "blog.entry",
        "subject_id": str(entry.pk),
    }
    signature = {"task": order.task, "args": [PAYLOAD], "kwargs": {"name": PAYLOAD}, "options": {}}
    return [
        *(
            make_task(**given, status=status, result=told, finished_at=now)
            for status in (states.SUCCESS, states.IGNORED)
        ),
        *(make_task(**given, status=status, result=told) for status in ("PROGRESS", states.STARTED)),
        make_task(**given, status=states.FAILURE, result='{"exc_type": "E", "exc_message": ["no"]}', finished_at=now),
        make_group(body=json.dumps(signature)),
        make_message(state="aside", reason="unknown task", payload=envelope),
        make_message(payload=envelope, sent_at=now - dt.timedelta(hours=1)),
        make_worker(),
    ]  # fmt: skip


def addresses_of(rows: list[Any]) -> list[str]:
    queue = {"django_tasks_queue": {"queue": "default"}}
    every = {name: given for row in rows for name, given in of_row(row).items()}
    found = [path for row in rows for path in pages(queue | every | of_row(row))]
    return list(dict.fromkeys(found))


def texts_on(browser: Client, rows: list[Any]) -> dict[str, str]:
    return {
        f"{path} {number}": answer.content.decode()
        for path in addresses_of(rows)
        for number, answer in enumerate(visited(browser, path))
    }


def test_it_is_on_no_page_and_in_no_part_of_one(browser: Client, rows: list[Any]) -> None:
    assert [path for path, text in texts_on(browser, rows).items() if PAYLOAD in text] == []


def test_who_may_see_it_sees_it_on_several(page: Client, rows: list[Any]) -> None:
    """Else the test above would prove nothing."""
    seen = {path.split("/")[3] for path, text in texts_on(page, rows).items() if PAYLOAD in text}

    assert seen == {"taskresult", "queuedmessage", "taskgroup"}


def test_it_is_in_no_confirmation_and_in_no_answer_to_an_action(browser: Client, rows: list[Any]) -> None:
    for name, action, path in actions():
        for row in [str(row.pk) for row in rows]:
            answer = browser.post(path, {"row": row}, follow=True)

            assert PAYLOAD not in answer.content.decode(), (name, action)
            assert answer.status_code == (403 if action == "edit" else 200), (name, action)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_it_is_in_no_file(browser: Client, page: Client, rows: list[Any], kind: str) -> None:
    def exported(by: Client) -> str:
        path = reverse("admin:django_tasks_taskresult_export")
        answer: Any = by.post(path, {"everything": "1", "format": kind})
        return b"".join(answer.streaming_content).decode()

    assert PAYLOAD in exported(page)
    assert PAYLOAD not in exported(browser)
    assert "args" not in exported(browser)


def test_it_is_in_no_list_about_an_object(
    browser: Client, clerk: User, rows: list[Any], entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.site._registry[Entry], "inlines", [TasksInline])
    request = RequestFactory().get("/")
    request.user = clerk

    inline = browser.get(reverse("admin:blog_entry_change", args=[entry.pk])).text

    for text in (inline, shown(entry, clerk)):
        assert "tests.ledger.tasks.add" in text
        assert PAYLOAD not in text


def test_nobody_guesses_it_by_searching(browser: Client, page: Client, rows: list[Any]) -> None:
    def found(by: Client, text: str) -> int:
        return len(by.get(LIST, {"q": text}).context["cl"].result_list)

    assert found(page, f'arg.name:"{PAYLOAD}"') == 5
    assert found(browser, f'arg.name:"{PAYLOAD}"') == 0
    assert found(browser, "status:FAILURE") == 1


def test_nobody_guesses_it_by_acting_on_all_that_a_search_finds(browser: Client, rows: list[Any]) -> None:
    asked = {"everything": "1", "asked": f'q=arg.name:"{PAYLOAD}"'}
    before = TaskResult.objects.count()

    for action in ("delete", "retry", "stop"):
        path = reverse("admin:django_tasks_taskresult_action", args=[action])
        assert browser.post(path, asked).status_code == 403
    assert browser.post(reverse("admin:django_tasks_taskresult_export"), asked).status_code == 403
    assert TaskResult.objects.count() == before
