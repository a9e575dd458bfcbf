"""A task carries who asked for it and what it is about, and hands on the first."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from django_tasks import chain, chord, task
from django_tasks.definition.context import Context
from django_tasks.definition.request import running
from django_tasks.exceptions import DecodeError
from django_tasks.execution.settlement import settle
from django_tasks.message.asked import ASKED, SUBJECT, Asked
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import decode, encode
from django_tasks.models import TaskResult
from django_tasks.requests import HEADER, RequestMiddleware
from testproject.blog.models import Comment, Entry
from tests.endings import OWNER, claimed, succeeded

KNOWN = Asked(user_id="17", request_id="r-1")


@task(name="tests.asked")
def noted(*args: Any) -> None: ...


def request(user: object = None, **headers: str) -> HttpRequest:
    made = RequestFactory().get("/", headers=headers)
    if user is not None:
        made.user = user  # type: ignore[assignment]
    return made


def answered(made: HttpRequest) -> HttpResponse:
    def view(request: HttpRequest) -> HttpResponse:
        noted.delay()
        return HttpResponse()

    return RequestMiddleware(view)(made)  # type: ignore[no-any-return]


# -- who asked


def test_a_task_knows_the_user_and_the_request(sent: list[TaskMessage]) -> None:
    response = answered(request(User(pk=17), **{HEADER: "r-1"}))

    assert sent[0].asked == KNOWN
    assert response.headers[HEADER] == "r-1"


@pytest.mark.parametrize("given", ["", "x" * 256, "two\nlines"])
def test_a_request_without_a_fitting_name_is_given_one(sent: list[TaskMessage], given: str) -> None:
    response = answered(request(**({HEADER: given} if given else {})))

    assert sent[0].asked is not None
    assert sent[0].asked.request_id == response.headers[HEADER] != given


def test_nobody_is_looked_up_for_it(sent: list[TaskMessage]) -> None:
    def look_up() -> User:
        raise AssertionError("somebody asked who it is")

    answered(request(SimpleLazyObject(look_up)))

    assert sent[0].asked is not None
    assert sent[0].asked.user_id is None


def test_a_user_who_was_looked_up_is_known(sent: list[TaskMessage]) -> None:
    user = SimpleLazyObject(lambda: User(pk=17))
    assert user.pk == 17

    answered(request(user))
    answered(request(AnonymousUser()))

    assert [message.asked and message.asked.user_id for message in sent] == ["17", None]


def test_outside_of_requests_nobody_asked(sent: list[TaskMessage]) -> None:
    answered(request())
    noted.delay()

    assert sent[1].asked is None
    assert not {ASKED, SUBJECT} & set(encode(sent[1]).headers)


def test_it_works_where_views_are_awaited(sent: list[TaskMessage]) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        noted.delay()
        return HttpResponse()

    async def serve() -> list[HttpResponse]:
        serving = RequestMiddleware(view)
        return await asyncio.gather(*(serving(request(User(pk=key))) for key in (1, 2)))

    asyncio.run(serve())

    assert {message.asked.user_id for message in sent if message.asked} == {"1", "2"}


def test_what_a_task_sends_is_asked_for_by_the_same(sent: list[TaskMessage]) -> None:
    with running(noted, Context.of(TaskMessage(id="1", task=noted.name, asked=KNOWN))) as context:
        noted.delay()

    assert sent[0].asked == KNOWN
    assert (context.user_id, context.request_id, context.subject) == ("17", "r-1", None)


@pytest.mark.django_db
def test_all_of_a_workflow_is_asked_for_by_the_same() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        chain(noted.si(), chord([noted.si(), noted.si()], noted.si()), noted.si()).delay()
        return HttpResponse()

    RequestMiddleware(view)(request(User(pk=17), **{HEADER: "r-1"}))
    while waiting := TaskResult.objects.waiting().values_list("id", flat=True):
        settle([succeeded(claimed(id), 1) for id in waiting], OWNER)

    rows = TaskResult.objects.values_list("user_id", "request_id", "status")
    assert list(rows) == [("17", "r-1", "SUCCESS")] * 5


def test_a_message_keeps_it_on_its_way() -> None:
    message = TaskMessage(id="1", task="t", root_id="1", asked=KNOWN, subject=("blog.entry", "7"))

    envelope = encode(message)
    arrived = decode(envelope, queue="default", accept={"json"})

    assert (arrived.asked, arrived.subject, arrived.headers) == (KNOWN, ("blog.entry", "7"), {})
    json.dumps(dict(envelope.headers))


@pytest.mark.parametrize(
    "headers", [{ASKED: "me"}, {ASKED: {"user": 1}}, {SUBJECT: "x"}, {SUBJECT: ["a"]}, {SUBJECT: ["a", "\0"]}]
)
def test_what_a_stranger_wrote_there_is_checked(headers: dict[str, Any]) -> None:
    envelope = encode(TaskMessage(id="1", task="t"))
    strange = dataclasses.replace(envelope, headers={**envelope.headers, **headers})

    with pytest.raises(DecodeError):
        decode(strange, queue="default", accept={"json"})


# -- what it is about


@pytest.mark.django_db
def test_what_was_sent_about_an_object_is_found_by_it() -> None:
    entry, other = Entry.objects.create(slug="a", title="A"), Entry.objects.create(slug="b", title="B")
    first, second = noted.apply_async(subject=entry), noted.apply_async(subject=("blog.entry", str(entry.pk)))
    noted.apply_async(subject=other)
    noted.apply_async(subject=Comment.objects.create(id=entry.pk))
    noted.delay()

    assert [row.id for row in TaskResult.objects.about(entry)] == [second.id, first.id]


@pytest.mark.django_db
def test_a_proxy_is_what_it_stands_for() -> None:
    class Draft(Entry):
        class Meta:
            app_label = "blog"
            proxy = True

    entry = Entry.objects.create(slug="a", title="A")
    noted.apply_async(subject=Draft.objects.get())

    assert TaskResult.objects.about(entry).count() == 1


@pytest.mark.django_db
def test_an_object_costs_no_query() -> None:
    entry = Entry.objects.create(slug="a", title="A")
    with CaptureQueriesContext(connection) as plain:
        noted.delay()
    with CaptureQueriesContext(connection) as about:
        noted.apply_async(subject=entry)

    assert len(about) == len(plain)


def test_a_signature_names_what_it_is_about(sent: list[TaskMessage]) -> None:
    entry = Entry(pk=7)

    for signature in (
        noted.s().set(subject=entry),
        noted.signature(subject=entry),
        noted.s().clone(subject=entry),
    ):
        json.dumps(signature)
        assert list(signature.options["subject"]) == ["blog.entry", "7"]


def test_a_map_of_many_can_be_about_one(sent: list[TaskMessage], django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        noted.bulk([(1,), (2,)], subject=Entry(pk=7))

    assert [message.subject for message in sent] == [("blog.entry", "7")] * 2


@pytest.mark.parametrize(
    ("subject", "error"),
    [
        (Entry(), ValueError),
        (("blog.entry", "x" * 300), ValueError),
        ("blog.entry", TypeError),
        (17, TypeError),
    ],
)
def test_what_is_no_saved_object_is_refused(
    sent: list[TaskMessage], subject: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="subject"):
        noted.apply_async(subject=subject)

    assert not sent
