"""Whatever stands in a row, it is text wherever it is shown: on every page there is, and on those added later."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Model, TextField
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse

from django_tasks import clock, states
from django_tasks.admin import TasksInline
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.models import (
    FailureGroup,
    QueuedMessage,
    QueuePause,
    SavedView,
    TaskAttempt,
    TaskGroup,
    TaskResult,
    TaskRollup,
    Worker,
)
from django_tasks.models.ends import Span
from django_tasks.steering import matching
from django_tasks.steering.again import RETRY_OF
from testproject.blog.models import Entry

from .addresses import actions, of_row, pages, visited

#: Short enough to be cut off nowhere, and of no harm to a test that finds it running.
HOSTILE = "\"'><img src=x onerror=alert(1)>"
#: Of a column that has room for no more.
SHORT = "\"'><u>"
KEY = f"w{SHORT}"


def hostile(name: str) -> str:
    return f"{name}{HOSTILE}"


def texts_of(model: type[Model]) -> dict[str, str]:
    """Something hostile for each column that takes text, those added later as well."""
    return {
        field.name: f"{model._meta.model_name}.{field.name}"[: (field.max_length or 99) - len(HOSTILE)]
        + HOSTILE
        for field in model._meta.concrete_fields
        if isinstance(field, CharField | TextField)
        and not field.choices
        and (field.max_length or 99) > len(HOSTILE) + 10
    }


def message(**more: Any) -> str:
    """One that can be read, so that all of it is shown."""
    order = TaskMessage(
        id="readable",
        task="tests.ledger.tasks.add",
        args=(hostile("an argument"),),
        kwargs={hostile("a name"): [{hostile("a key"): hostile("a value")}]},
        headers={RETRY_OF: hostile("a header")},
        **more,
    )
    return encode(order).to_text()


@pytest.fixture
def rows(db: None) -> Sequence[Model]:
    """Of each model one or some, with something hostile in all that may hold a text."""
    now, user = clock.to_storage(clock.now()), User.objects.create_user(f"user{SHORT}")
    entry = Entry.objects.create(slug="a", title="A")
    made = [
        *_tasks(now, str(user.pk), str(entry.pk)),
        TaskGroup.objects.create(
            **texts_of(TaskGroup) | {"id": f"g{SHORT}", "body": json.dumps({"task": hostile("body")})},
            total=2,
            pending=1,
            created_at=now,
        ),
        QueuedMessage.objects.create(
            **texts_of(QueuedMessage) | {"payload": message(), "queue": SHORT}, state="aside", sent_at=now
        ),
        QueuedMessage.objects.create(queue=SHORT, payload=HOSTILE, sent_at=now),
        Worker.objects.create(
            **texts_of(Worker) | {"id": KEY},
            pid=1,
            processes=1,
            threads=1,
            started_at=now,
            lease_until=now + dt.timedelta(hours=1),
        ),
    ]
    QueuePause.objects.create(
        **texts_of(QueuePause) | {"queue": SHORT}, paused_at=now - dt.timedelta(hours=9)
    )
    FailureGroup.objects.create(
        **texts_of(FailureGroup) | {"fingerprint": SHORT},
        count=3,
        first_seen=now,
        last_seen=now,
        acknowledged_at=now,
    )
    start = clock.to_storage(Span.HOUR.start(clock.now()))
    rollup = {"task": hostile("rollup.task"), "queue": SHORT, "succeeded": 1, "failed": 1}
    TaskRollup.objects.create(span=Span.HOUR, starts_at=start, **rollup)
    TaskRollup.objects.create(span=Span.HOUR, starts_at=start, **rollup | {"task": ""})
    _logged(user, made[0])
    return made


def _tasks(now: dt.datetime, user: str, entry: str) -> Iterator[TaskResult]:
    """That failed, runs, tells how far it is, is done, and waits."""
    texts = texts_of(TaskResult) | {
        "claimed_by": None,
        "user_id": user,
        "fingerprint": SHORT,
        "group_id": f"g{SHORT}",
    }
    error = {"exc_type": hostile("type"), "exc_module": hostile("module"), "exc_message": [hostile("error")]}
    about = {"subject_type": "blog.entry", "subject_id": entry}
    kinds: Sequence[dict[str, Any]] = [
        {
            "status": states.FAILURE,
            "result": json.dumps(error),
            "finished_at": now,
            "message": message(),
            "queue": "default",
        },
        {"status": states.FAILURE, "result": HOSTILE, "finished_at": now, "user_id": hostile("user")},
        {"status": states.STARTED, "started_at": now, "claimed_by": f"{KEY}.1", "result": None},
        {"status": hostile("status"), "result": json.dumps({"current": 1, "total": 2, "x": hostile("meta")})},
        {"status": states.SUCCESS, "result": json.dumps({hostile("result"): 1}), "finished_at": now, **about},
        {
            "status": states.PENDING,
            "message": message(eta=clock.now() + dt.timedelta(days=9)),
            "queue": "default",
            **about,
        },
    ]
    for number, kind in enumerate(kinds):
        row = TaskResult.objects.create(**{**texts, "id": f"{number}{HOSTILE}", "created_at": now, **kind})
        attempt = texts_of(TaskAttempt) | {"task_id": row.id}
        TaskAttempt.objects.create(**attempt, number=1, ending="RETRY", finished_at=now)
        yield row


def _logged(user: User, row: Model) -> None:
    for told in (f"retry (1): {hostile('told')}", hostile("no words of ours")):
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(row),
            object_id=row.pk,
            object_repr=hostile("object"),
            action_flag=CHANGE,
            change_message=told,
        )


class Page(HTMLParser):
    """What a browser makes of it: the tags, and all that is text to it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.injected: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for _, value in attrs if value]
        names = [name for name, _ in attrs]
        is_ours = tag not in ("u", "base") and (tag != "img" or ("src", "x") not in attrs)
        is_link = not any((value or "").strip().lower().startswith("javascript:") for _, value in attrs)
        if (
            not is_ours
            or not is_link
            or any(
                name.startswith("on") or not name.isascii() or "'" in name or '"' in name for name in names
            )
        ):
            self.injected.append(str(self.get_starttag_text()))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(answer: Any) -> Page:
    """A page whose text is text; a file is none that a browser would show as a page."""
    kind = answer.headers.get("Content-Type", "")
    if not kind.startswith("text/html"):
        assert kind.startswith(("application/json", "text/csv", "application/x-ndjson")), kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return Page("")
    found = Page(answer.content.decode())
    assert found.injected == [], answer.request
    return found


@pytest.fixture
def keys(rows: Sequence[Model]) -> list[dict[str, dict[str, str]]]:
    """What the parameters of addresses may stand for: one row of each model at a time."""
    queue = {"django_tasks_queue": {"queue": SHORT}}
    models = {type(row) for row in rows}
    several = {model: [row for row in rows if type(row) is model] for model in models}
    return [
        queue | {name: given for row in some for name, given in of_row(row).items()}
        for some in zip(*(_repeated(each, 6) for each in several.values()), strict=True)
    ]


def _repeated(several: list[Model], number: int) -> list[Model]:
    return [several[place % len(several)] for place in range(number)]


#: Of these columns there is something else that is hostile: a key, an error, a message that can be read.
FILLED_OTHERWISE = {
    *("taskresult.id", "taskresult.status", "taskresult.claimed_by", "taskresult.user_id"),
    *("taskresult.message", "taskresult.group_id", "taskattempt.task_id", "taskgroup.id", "taskgroup.body"),
    *("queuedmessage.payload", "queuedmessage.queue", "queuepause.queue", "worker.id"),
}
#: They are on no page, with the reason.
NOT_SHOWN = {
    "taskgroup.saved": "ids, and nothing that the members do not say as well",
}
MODELS = (TaskResult, TaskAttempt, TaskGroup, QueuedMessage, QueuePause, Worker, FailureGroup)
#: What is within a text: of errors, results, arguments, headers and the log.
WITHIN = (
    *("type", "error", "meta", "result", "an argument", "a name", "a key", "a value", "a header", "user"),
    *("told", "no words of ours", "object", "rollup.task", "body", "view"),
)


def test_hostile_text_is_text_on_every_page_and_in_every_part_of_it(
    page: Client, keys: list[dict[str, dict[str, str]]]
) -> None:
    SavedView.objects.save_as(User.objects.get(username="boss").pk, hostile("view"), f"q={HOSTILE}")
    found: list[str] = []
    for path in dict.fromkeys(path for some in keys for path in pages(some)):
        for answer in visited(page, path):
            found += read(answer).texts
    for answer in visited(page, reverse("admin:django_tasks_failures"), show="all"):
        found += read(answer).texts

    assert_shown(found)


def assert_shown(found: list[str]) -> None:
    """What is not shown at all proves nothing."""
    everything = "\n".join(found)
    columns = {text.removesuffix(HOSTILE): text for model in MODELS for text in texts_of(model).values()}
    wanted = {name: text for name, text in columns.items() if name not in FILLED_OTHERWISE | NOT_SHOWN.keys()}
    wanted |= {name: hostile(name) for name in WITHIN}
    # Within JSON and within Python quotes have a backslash.
    spelled = {
        name: {text, json.dumps(text)[1:-1], text.replace("'", "\\'")} for name, text in wanted.items()
    }
    assert [name for name, several in spelled.items() if not any(map(everything.count, several))] == []


@pytest.mark.parametrize(
    "parameter",
    [
        *matching.PARAMETERS,
        matching.QUERY,
        "older",
        "newer",
        "p",
        "period",
        "show",
        "before",
        "_fragment",
        "unknown",
    ],
)
def test_hostile_text_in_an_address_is_text_on_every_page(
    page: Client, keys: list[dict[str, dict[str, str]]], parameter: str
) -> None:
    for path in pages(keys[0]):
        read(page.get(path, {parameter: HOSTILE}))


def test_hostile_text_is_text_before_and_after_something_is_done(page: Client, rows: Sequence[Model]) -> None:
    chosen = [SHORT, *(str(row.pk) for row in rows)]
    for _, _, path in actions():
        for row in (SHORT, chosen[1]):
            read(page.post(path, {"row": row, "next": HOSTILE}, follow=True))
        read(
            page.post(
                path,
                {
                    "row": chosen,
                    "queue": HOSTILE,
                    "args": HOSTILE,
                    "reason": HOSTILE,
                    "to": HOSTILE,
                    "confirmed": "1",
                    "word": HOSTILE,
                },
                follow=True,
            )
        )
        read(
            page.post(
                path, {"everything": "1", "asked": f"task={HOSTILE}&q={HOSTILE}", "row": chosen}, follow=True
            )
        )
    for answer in visited(page, reverse("admin:django_tasks_audit")):
        read(answer)


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_hostile_text_is_text_in_actions_of_djangos_lists(
    page: Client, rows: Sequence[Model], action: str
) -> None:
    key = str(QueuedMessage.objects.filter(state="aside").get().pk)
    path = reverse("admin:django_tasks_queuedmessage_changelist")

    read(page.post(path, {"action": action, "_selected_action": key}, follow=True))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_is_no_page(page: Client, rows: Sequence[Model], kind: str) -> None:
    answer = page.post(reverse("admin:django_tasks_taskresult_export"), {"everything": "1", "format": kind})

    read(answer)
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_hostile_text_is_text_on_pages_of_the_project(
    page: Client, rows: Sequence[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.site._registry[Entry], "inlines", [TasksInline])
    entry, request = Entry.objects.get(), RequestFactory().get("/")
    request.user = User.objects.get(username="boss")

    for html in (inline(page, entry), template_tag(entry, request)):
        shown = Page(html)
        assert shown.injected == []
        assert any(HOSTILE in text for text in shown.texts)


def inline(page: Client, entry: Entry) -> str:
    return page.get(reverse("admin:blog_entry_change", args=[entry.pk])).text


def template_tag(entry: Entry, request: HttpRequest) -> str:
    template = Template("{% load django_tasks %}{% tasks_of entry 10 %}")
    return template.render(Context({"entry": entry, "request": request}))
