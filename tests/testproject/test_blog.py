"""The pages, and above all: the task exists if and only if the comment does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_tasks import states
from django_tasks.models import TaskResult
from testproject.blog.models import Comment, Entry
from testproject.blog.tasks import spam_filter

if TYPE_CHECKING:
    from pytest_django import Settings

FIELDS = {
    "name": "Alex",
    "email_address": "alex@example.com",
    "homepage": "example.com",
    "comment": "Thank you.",
}


@pytest.fixture(
    params=[
        pytest.param("db", id="inside-the-tests-transaction"),
        pytest.param("transactional_db", id="with-real-commits"),
    ]
)
def entry(request: pytest.FixtureRequest) -> Entry:
    """Something to comment on: rolling back must work in a TestCase and in a TransactionTestCase."""
    request.getfixturevalue(request.param)
    return Entry.objects.create(slug="hello", title="Hello")


def post_comment(client: Client, entry: Entry, **changes: str) -> Any:
    return client.post(reverse("blog:add_comment", args=[entry.slug]), FIELDS | changes)


def test_a_posted_comment_is_saved_and_its_check_is_sent(client: Client, entry: Entry) -> None:
    """FEATURES EXM-15."""
    answer = post_comment(client, entry)

    comment = Comment.objects.get()
    task = TaskResult.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, "/hello/")
    assert (comment.name, comment.homepage, comment.is_spam) == ("Alex", "https://example.com", False)
    assert (task.task, task.status) == (spam_filter.name, states.PENDING)
    assert f"'comment_id': {comment.pk}" in task.kwargs
    assert "'remote_addr': '127.0.0.1'" in task.kwargs


def test_a_comment_refused_after_the_sending_leaves_no_task(client: Client, entry: Entry) -> None:
    answer = post_comment(client, entry, name="Mallory")

    assert answer.status_code == 403
    assert "Mallory may not comment" in answer.content.decode()
    assert not Comment.objects.exists()
    assert not TaskResult.objects.exists()


def test_a_refused_comment_takes_nobody_elses_task_along(client: Client, entry: Entry) -> None:
    for name in ("Alex", "Mallory", "Robin", "Mallory"):
        post_comment(client, entry, name=name)

    assert sorted(Comment.objects.values_list("name", flat=True)) == ["Alex", "Robin"]
    assert TaskResult.objects.count() == 2


def test_an_error_after_the_sending_leaves_no_task(client: Client, entry: Entry, settings: Settings) -> None:
    settings.BLOG_BLOCKED_AUTHORS = None
    client.raise_request_exception = False

    answer = post_comment(client, entry)

    assert answer.status_code == 500
    assert not Comment.objects.exists()
    assert not TaskResult.objects.exists()


@pytest.mark.django_db
def test_a_form_with_mistakes_is_shown_again_and_nothing_is_sent(client: Client) -> None:
    entry = Entry.objects.create(slug="hello", title="Hello")

    answer = post_comment(client, entry, email_address="nobody")

    assert answer.status_code == 200
    assert "Enter a valid email address" in answer.content.decode()
    assert not TaskResult.objects.exists()


@pytest.mark.django_db
def test_an_entry_shows_comments_but_no_spam(client: Client) -> None:
    entry = Entry.objects.create(slug="hello", title="Hello")
    for text, is_spam in (("A kind word", False), ("Casino", True)):
        Comment.objects.create(name="Alex", email_address="a@example.com", comment=text, is_spam=is_spam)

    page = client.get(entry.get_absolute_url()).content.decode()

    assert "A kind word" in page
    assert "Casino" not in page


@pytest.mark.django_db
def test_what_visitors_write_is_escaped(client: Client) -> None:
    entry = Entry.objects.create(slug="hello", title="Hello")
    Comment.objects.create(name="<b>Alex", email_address="a@example.com", comment="<script>alert(1)</script>")

    page = client.get(entry.get_absolute_url()).content.decode()

    assert "&lt;b&gt;Alex" in page
    assert "<script>" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/nothing/", "/nothing/comment/"])
def test_an_entry_that_is_not_there_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.django_db
def test_the_first_page_lists_the_entries(client: Client) -> None:
    Entry.objects.create(slug="hello", title="Hello")

    assert '<a href="/hello/">Hello</a>' in client.get("/").content.decode()


@pytest.mark.django_db
def test_the_admin_shows_comments_and_whether_they_are_spam(admin_client: Client, admin_user: User) -> None:
    comment = Comment.objects.create(
        name="Alex", email_address="a@example.com", comment="Casino", is_spam=True
    )

    changelist = admin_client.get(reverse("admin:blog_comment_changelist"))
    change = admin_client.get(reverse("admin:blog_comment_change", args=[comment.pk]))

    assert "icon-yes" in changelist.content.decode()
    assert change.status_code == 200
