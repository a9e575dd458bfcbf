"""Pages of our own within the admin: the bar, the audit, and the parts that are asked for again."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client, override_settings
from django.urls import path, reverse

from django_tasks.admin import QueuedMessageAdmin, TaskResultAdmin, audit
from django_tasks.models import QueuedMessage, TaskResult

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings

AUDIT = reverse("admin:django_tasks_audit")
TASKS = reverse("admin:django_tasks_taskresult_changelist")
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|javascript:", re.IGNORECASE)


def tabs(html: str) -> list[str]:
    (bar,) = re.findall(r'<nav class="tasks-tabs".*?</nav>', html, re.DOTALL)
    return re.findall(r"<a [^>]*>([^<]+)</a>", bar)


def note(user: User, told: str = "retry (3): 3 tasks are sent again.", **values: Any) -> LogEntry:
    of_tasks = ContentType.objects.get_for_model(TaskResult)
    given = {"content_type": of_tasks, "object_repr": "3 tasks", "action_flag": CHANGE}
    return LogEntry.objects.create(user=user, change_message=told, **{**given, **values})


def clerk(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_the_bar_is_on_every_list_and_every_rows_page(
    page: Client, make_task: Any, make_message: Any, make_group: Any, make_worker: Any
) -> None:
    for row in (make_task(), make_message(), make_group(), make_worker()):
        name = f"admin:django_tasks_{row._meta.model_name}"
        for url in (reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk])):
            html = page.get(url).text

            assert {"Tasks", "Groups", "Messages", "Workers", "Audit"} <= set(tabs(html))
            assert html.count('class="tasks-current" aria-current="page"') == 1


def test_the_bar_has_what_a_user_may_see(client: Client, db: None) -> None:
    html = clerk(client, "view_worker").get(reverse("admin:django_tasks_worker_changelist")).text

    assert tabs(html) == ["Workers"]


def test_a_page_is_refused_to_who_may_not_see_it(client: Client, db: None) -> None:
    assert clerk(client, "view_taskresult").get(AUDIT).status_code == 403


def test_a_page_asks_who_is_there(client: Client, db: None) -> None:
    answer = client.get(AUDIT)

    assert answer.status_code == 302
    assert "/login/" in answer.headers["Location"]


@pytest.fixture
def _office() -> Iterator[None]:
    site = AdminSite(name="office")
    site.register(TaskResult, TaskResultAdmin)
    site.register(QueuedMessage, QueuedMessageAdmin)
    urls = types.ModuleType("office_urls")
    urls.urlpatterns = [path("office/", site.urls)]  # type: ignore[attr-defined]
    with override_settings(ROOT_URLCONF=urls):
        yield


@pytest.mark.usefixtures("_office")
def test_another_site_has_the_pages_of_the_models_it_shows(page: Client, make_task: Any) -> None:
    note(User.objects.get(), object_id=make_task(id="one").pk)

    html = page.get("/office/django_tasks/taskresult/audit/").text

    assert {"Tasks", "Messages", "Audit"} <= set(tabs(html))
    assert {"Groups", "Workers"}.isdisjoint(tabs(html))
    assert 'href="/office/django_tasks/taskresult/one/change/"' in html
    assert 'href="/admin/' not in html


def test_a_page_has_no_inline_style_or_script(page: Client) -> None:
    note(User.objects.get())

    assert INLINE.findall(page.get(AUDIT).text) == []


def test_the_audit_tells_who_did_what_to_how_many(page: Client) -> None:
    note(User.objects.get())

    html = page.get(AUDIT, {"_fragment": "entries"}).text

    cells = re.findall(r"<td[^>]*>(.*?)</td>", html)
    assert cells[1:] == ["boss", "<code>retry</code>", "3 tasks", "3", "3 tasks are sent again."]


def test_the_audit_tells_nothing_of_other_apps(page: Client) -> None:
    note(User.objects.get(), content_type=ContentType.objects.get_for_model(User), object_repr="other")

    assert "Nobody has done anything here yet" in page.get(AUDIT).text


def test_hostile_text_in_the_audit_is_text(page: Client) -> None:
    note(User.objects.get(), "<script>alert(1)", object_repr="<script>alert(2)", object_id="'\"><script>")

    html = page.get(AUDIT).text

    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_audit_is_turned_from_page_to_page(page: Client) -> None:
    boss = User.objects.get()
    for number in range(51):
        note(boss, object_repr=f"entry {number}.")

    newest = page.get(AUDIT).text
    (older,) = re.findall(r'href="(\?before=\d+)"', newest)

    assert "entry 50." in newest
    assert "entry 0." not in newest
    assert "entry 0." in page.get(AUDIT + older).text


def test_numbers_that_programs_read_have_no_separators(
    page: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, make_worker: Any
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    monkeypatch.setattr(audit, "MOST", 1)
    worker = make_worker(pid=41210, processes=6000, busy=5000)
    for id in (4121, 4122):
        note(User.objects.get(), id=id)

    entries = page.get(AUDIT).text
    workers = page.get(reverse("admin:django_tasks_workers")).text
    facts = page.get(reverse("admin:django_tasks_worker_change", args=[worker.pk])).text

    assert 'href="?before=4122"' in entries
    assert 'max="12000" value="5000"' in workers
    assert "pid 41210" in workers
    assert "<td>41210</td>" in facts


def test_the_audit_takes_two_queries_besides_the_user(
    page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(60):
        note(User.objects.get())
    page.get(AUDIT)

    with django_assert_num_queries(3):
        page.get(AUDIT)


def test_a_fragment_is_that_part_alone(page: Client) -> None:
    note(User.objects.get())

    whole, part = page.get(AUDIT).text, page.get(AUDIT, {"_fragment": "entries"}).text

    assert 'data-tasks-live="entries"' in whole
    assert "<html" not in part
    assert "<table" in part


def test_a_fragment_that_has_not_changed_is_not_sent_again(page: Client) -> None:
    asked = {"_fragment": "entries"}
    etag = page.get(AUDIT, asked).headers["ETag"]

    unchanged = page.get(AUDIT, asked, headers={"If-None-Match": etag})
    note(User.objects.get())
    changed = page.get(AUDIT, asked, headers={"If-None-Match": etag})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200
    assert "retry" in changed.text


@pytest.mark.parametrize("where", [AUDIT, TASKS])
def test_an_unknown_fragment_is_not_found(page: Client, where: str) -> None:
    assert page.get(where, {"_fragment": "../secrets"}).status_code == 404


def test_a_page_that_can_be_refreshed_has_a_link_for_those_without_scripts(page: Client) -> None:
    assert f'<a href="{AUDIT}" data-tasks-live-refresh>Refresh</a>' in page.get(AUDIT).text
