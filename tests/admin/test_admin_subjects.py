"""What the project's own pages, and its own admin, show of the tasks about an object."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.checks import run_checks
from django.db import connection
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks.admin import TasksInline
from django_tasks.models import TaskResult
from testproject.blog.models import Entry

pytestmark = pytest.mark.django_db

WITHOUT_ADMIN = """
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_tasks"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    USE_TZ=True,
)
django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
from django.template import engines

call_command("migrate", verbosity=0)
from django_tasks.models import TaskResult
from django_tasks import clock

user = User.objects.create_user("someone")
about = {"subject_type": "auth.user", "subject_id": str(user.pk), "created_at": clock.now()}
TaskResult.objects.create(id="1", task="shop.pay", queue="default", message="{}", **about)
template = engines["django"].from_string("{% load django_tasks %}{% tasks_of user %}")
print(template.render({"user": user}))
"""


@pytest.fixture
def entry() -> Entry:
    return Entry.objects.create(slug="a", title="A")


@pytest.fixture
def with_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.site._registry[Entry], "inlines", [TasksInline])


def about(entry: Entry, **more: Any) -> dict[str, Any]:
    return {"subject_type": "blog.entry", "subject_id": str(entry.pk), **more}


def shown(entry: Entry, user: Any = None, most: int = 10) -> str:
    request: HttpRequest = RequestFactory().get("/")
    request.user = user or AnonymousUser()
    template = Template("{% load django_tasks %}{% tasks_of entry most %}")
    return template.render(Context({"entry": entry, "request": request, "most": most}))


def test_who_has_no_permissions_at_all_gets_no_link(entry: Entry, make_task: Any) -> None:
    make_task(**about(entry))

    html = shown(entry, types.SimpleNamespace(is_authenticated=True))

    assert "shop.tasks.pay" in html
    assert "href" not in html


def test_a_page_shows_the_last_tasks_of_an_object_with_one_query(entry: Entry, make_task: Any) -> None:
    for number in range(3):
        make_task(**about(entry), task=f"shop.tasks.pay_{number}")
    make_task(task="shop.tasks.other")

    with CaptureQueriesContext(connection) as asked:
        html = shown(entry)

    assert len(asked) == 1
    assert [f"pay_{number}" in html for number in range(3)] == [True] * 3
    assert "other" not in html
    assert "Pending" in html


def test_who_may_see_tasks_gets_to_them_by_a_link(entry: Entry, make_task: Any) -> None:
    row = make_task(**about(entry))
    make_task(**about(entry))
    url = reverse("admin:django_tasks_taskresult_change", args=[row.pk])
    staff = User.objects.create_user("someone", is_staff=True)
    stranger = User.objects.create_user("stranger", is_superuser=True)
    unable = shown(entry, staff)
    staff.user_permissions.add(Permission.objects.get(codename="view_taskresult"))

    able = shown(entry, User.objects.get(pk=staff.pk))
    few = shown(entry, User.objects.get(pk=staff.pk), 1)

    assert url in able
    assert [url in html for html in (unable, shown(entry), shown(entry, stranger))] == [False] * 3
    assert f"subject=blog.entry%3A{entry.pk}" in few
    assert "subject=" not in able


def test_what_a_task_is_called_is_text(entry: Entry, make_task: Any) -> None:
    make_task(**about(entry), task="<script>", status="<b>")

    html = shown(entry)

    assert "<script>" not in html
    assert "<b>" not in html


def test_an_object_that_is_not_saved_has_no_tasks() -> None:
    assert "No tasks were sent about this." in shown(Entry())


def test_the_list_shows_all_about_an_object(page: Client, entry: Entry, make_task: Any) -> None:
    first, second = make_task(**about(entry)), make_task(**about(entry))
    make_task()

    for value, found in (
        (f"blog.entry:{entry.pk}", {first.pk, second.pk}),
        ("nonsense", set()),
        (":", set()),
    ):
        listed = page.get(reverse("admin:django_tasks_taskresult_changelist", query={"subject": value}))
        assert {row.pk for row in listed.context["cl"].result_list} == found


def test_the_page_of_a_task_leads_to_its_object_and_to_who_asked(
    page: Client, entry: Entry, make_task: Any
) -> None:
    boss = User.objects.get()
    row = make_task(**about(entry), user_id=str(boss.pk), request_id="r-1", fingerprint="0" * 16)

    html = page.get(reverse("admin:django_tasks_taskresult_change", args=[row.pk])).content.decode()

    for url in (
        reverse("admin:blog_entry_change", args=[entry.pk]),
        reverse("admin:auth_user_change", args=[boss.pk]),
        "?fingerprint=0000000000000000",
    ):
        assert url in html
    assert "r-1" in html


@pytest.mark.parametrize("label", ["gone.thing", "nonsense", "a.b.c"])
def test_an_object_of_an_app_that_is_gone_is_named(page: Client, make_task: Any, label: str) -> None:
    row = make_task(subject_type=label, subject_id="<17>")

    html = page.get(reverse("admin:django_tasks_taskresult_change", args=[row.pk])).content.decode()

    assert f"{label} &lt;17&gt;" in html


# -- the block in the admin of one's own models


@pytest.mark.usefixtures("with_inline")
def test_the_page_of_an_object_has_its_tasks(page: Client, entry: Entry, make_task: Any) -> None:
    row = make_task(**about(entry))

    html = page.get(reverse("admin:blog_entry_change", args=[entry.pk])).content.decode()

    assert reverse("admin:django_tasks_taskresult_change", args=[row.pk]) in html
    assert "Background tasks" in html


@pytest.mark.usefixtures("with_inline")
def test_saving_an_object_does_nothing_to_its_tasks(page: Client, entry: Entry, make_task: Any) -> None:
    row = make_task(**about(entry))
    before = TaskResult.objects.filter(pk=row.pk).values().get()
    forged = {"django_tasks-TOTAL_FORMS": "9", "django_tasks-0-id": row.pk, "django_tasks-0-DELETE": "on"}

    url = reverse("admin:blog_entry_change", args=[entry.pk])
    response = page.post(url, {"title": "B", "slug": "b", **forged})

    entry.refresh_from_db()
    assert (response.status_code, entry.title) == (302, "B")
    assert TaskResult.objects.filter(pk=row.pk).values().get() == before
    # Nothing but its own fields, in whichever order.
    assert set(LogEntry.objects.get().get_change_message().rstrip(".").split()) == {
        "Changed",
        "Title",
        "and",
        "Slug",
    }


@pytest.mark.usefixtures("with_inline")
def test_a_new_object_can_be_added_beside_it(page: Client) -> None:
    asked = page.get(reverse("admin:blog_entry_add"))
    added = page.post(reverse("admin:blog_entry_add"), {"title": "B", "slug": "b"})

    assert (asked.status_code, added.status_code) == (200, 302)
    assert Entry.objects.get().title == "B"


@pytest.mark.usefixtures("with_inline")
def test_a_form_with_a_mistake_still_has_it(page: Client, entry: Entry, make_task: Any) -> None:
    row = make_task(**about(entry))

    response = page.post(reverse("admin:blog_entry_change", args=[entry.pk]), {"title": "", "slug": "b"})

    assert row.pk in response.content.decode()
    assert "errornote" in response.content.decode()


@pytest.mark.usefixtures("with_inline")
def test_who_may_not_see_tasks_sees_none_there(client: Client, entry: Entry, make_task: Any) -> None:
    user = User.objects.create_user("someone", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="change_entry"))
    client.force_login(user)
    make_task(**about(entry))

    html = client.get(reverse("admin:blog_entry_change", args=[entry.pk])).content.decode()

    assert "Background tasks" not in html
    assert "shop.tasks.pay" not in html


@pytest.mark.usefixtures("with_inline")
def test_djangos_checks_have_nothing_against_it() -> None:
    assert [error for error in run_checks() if error.id and error.id.startswith("admin")] == []


def test_templates_work_on_a_site_without_the_admin() -> None:
    """Every template engine imports all template tags, those of the admin's pages too."""
    ran = subprocess.run([sys.executable, "-c", WITHOUT_ADMIN], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "shop.pay" in ran.stdout
