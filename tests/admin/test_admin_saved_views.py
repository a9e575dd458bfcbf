"""Views of the list of tasks that a user has saved: what is kept, for whom, and who may do what."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from django_tasks.admin import saved_views
from django_tasks.models import SavedView

LIST = reverse("admin:django_tasks_taskresult_changelist")
HOSTILE = "\"'><script>alert(1)</script>"


def post(client: Client, action: str, row: str = "", **more: str) -> Any:
    url = reverse("admin:django_tasks_views_action", args=[action])
    return client.post(url, {"row": row, **more}, follow=True)


def save(client: Client, query: str, name: str) -> str:
    html: str = post(client, "save_view", query, name=name, confirmed="1").text
    return html


def links(client: Client, query: str = "") -> dict[str, str]:
    """The saved views that a user sees, by name."""
    html = client.get(f"{LIST}?{query}").text
    found = re.search(r'<nav class="tasks-states tasks-views".*?</nav>', html, re.DOTALL)
    return {
        name: address for address, name in re.findall(r'<a href="\?([^"]*)"[^>]*>([^<]*)</a>', found[0])
    } if found else {}  # fmt: skip


def clerk(client: Client, *permissions: str) -> Client:
    user, _ = User.objects.get_or_create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_a_view_is_saved_under_a_name_and_leads_back(page: Client, make_task: Any) -> None:
    failed, _other = make_task(status="FAILURE", queue="mail"), make_task(status="FAILURE")

    html = save(page, "status=FAILURE&queue=mail", "Failed mail")

    assert "Saved as Failed mail." in html
    (address,) = links(page).values()
    assert parse_qs(address.replace("&amp;", "&")) == {"queue": ["mail"], "status": ["FAILURE"]}
    shown = page.get(f"{LIST}?{SavedView.objects.get().query}").context["cl"].result_list
    assert [row.id for row in shown] == [failed.id]


def test_what_the_list_shows_is_offered_to_be_saved_unless_it_is(page: Client) -> None:
    offer = "Save these filters as"

    assert offer not in page.get(LIST).text
    html = page.get(f"{LIST}?q=task:shop&status=FAILURE").text
    assert offer in html
    (query,) = re.findall(r'name="row" value="([^"]*)" class="tasks-button" title', html)
    save(page, query.replace("&amp;", "&"), "One")

    again = page.get(f"{LIST}?status=FAILURE&q=task:shop").text
    assert offer not in again
    assert re.search(r'aria-current="true">One</a>', again)


def test_the_name_is_asked_for_where_it_was_not_given(page: Client) -> None:
    asked = post(page, "save_view", "status=FAILURE").text
    unnamed = save(page, "status=FAILURE", " ")

    assert 'name="name"' in asked
    assert "Please correct what is below." in unnamed
    assert not SavedView.objects.exists()
    assert not LogEntry.objects.exists()


def test_only_what_the_list_knows_is_kept(page: Client) -> None:
    save(page, "status=FAILURE&older=abc&p=3&next=//evil.example&is_staff=1&q=&%00=1", "Mine")

    assert SavedView.objects.get().query == "status=FAILURE"


@pytest.mark.parametrize("query", ["", "p=3", "q=", "no=such&_fragment=tasks"])
def test_nothing_is_saved_of_a_list_that_asks_for_nothing(page: Client, query: str) -> None:
    assert "There is nothing to save" in save(page, query, "Mine")
    assert not SavedView.objects.exists()


def test_what_is_too_long_is_refused(page: Client) -> None:
    assert "That is too long to be saved." in save(page, f"q={'x' * 2000}", "Mine")
    assert "Please correct what is below." in save(page, "q=x", "x" * 101)
    assert not SavedView.objects.exists()


def test_a_name_that_is_used_again_is_the_name_of_the_new_view(page: Client) -> None:
    save(page, "status=FAILURE", "Mine")
    save(page, "status=RETRY", "Mine")

    assert SavedView.objects.get().query == "status=RETRY"


def test_there_is_room_for_so_many(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "MOST", 2)
    for name in ("One", "Two"):
        save(page, "status=FAILURE", name)

    assert "Delete one of them first." in save(page, "status=RETRY", "Three")
    save(page, "status=RETRY", "Two")

    assert sorted(SavedView.objects.values_list("name", "query")) == [
        ("One", "status=FAILURE"),
        ("Two", "status=RETRY"),
    ]


def test_a_view_is_deleted_by_its_owner(page: Client) -> None:
    save(page, "status=FAILURE", "One")
    save(page, "status=RETRY", "Two")

    html = post(page, "delete_view", str(SavedView.objects.get(name="One").pk)).text

    assert "Deleted: One." in html
    assert list(links(page)) == ["Two"]


def test_nobody_sees_or_deletes_the_view_of_another(page: Client, db: None) -> None:
    save(page, "status=FAILURE", "Mine")
    view = SavedView.objects.get()
    other = clerk(Client(), "view_taskresult")

    assert links(other) == {}
    assert "You have no such saved view." in post(other, "delete_view", str(view.pk)).text
    save(other, "status=RETRY", "Mine")

    assert (links(page), links(other)) == ({"Mine": "status=FAILURE"}, {"Mine": "status=RETRY"})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        *((key, "You have no such saved view.") for key in ("", "x", "99999999999999999999", "-1")),
        ("\x00", "Nothing was chosen."),
    ],
)
def test_a_key_that_is_none_deletes_nothing(page: Client, key: str, why: str) -> None:
    save(page, "status=FAILURE", "Mine")

    assert why in post(page, "delete_view", key).text
    assert SavedView.objects.count() == 1


def test_a_user_who_is_deleted_leaves_no_view(page: Client, db: None) -> None:
    save(page, "status=FAILURE", "Mine")
    other = clerk(Client(), "view_taskresult")
    save(other, "status=RETRY", "Theirs")

    User.objects.get(username="clerk").delete()

    assert [view.name for view in SavedView.objects.all()] == ["Mine"]


@pytest.mark.parametrize("name", ["save_view", "delete_view"])
def test_who_may_not_see_tasks_has_no_views_of_them(client: Client, db: None, name: str) -> None:
    everything_else = Permission.objects.filter(content_type__app_label="django_tasks").exclude(
        codename="view_taskresult"
    )
    without = clerk(client, *everything_else.values_list("codename", flat=True))

    assert post(without, name, "status=FAILURE", confirmed="1", name="Mine").status_code == 403
    assert not SavedView.objects.exists()


def test_both_are_written_down(page: Client) -> None:
    save(page, "status=FAILURE", "Mine")
    post(page, "delete_view", str(SavedView.objects.get().pk))

    deleted, saved = LogEntry.objects.order_by("-pk")
    assert saved.change_message == "save_view (1): Saved as Mine."
    assert (deleted.change_message, deleted.action_flag) == ("delete_view (1): Deleted: Mine.", DELETION)
    assert "Saved as Mine." in page.get(reverse("admin:django_tasks_audit")).text


def test_hostile_names_and_queries_are_text(page: Client) -> None:
    save(page, f"q={HOSTILE}", HOSTILE)

    html = page.get(LIST).text + page.get(LIST, {"q": HOSTILE, "status": HOSTILE}).text

    assert escape(HOSTILE) in html
    assert HOSTILE not in html
    assert "<script>alert" not in html
