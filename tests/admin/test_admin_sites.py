"""Other admin sites, other databases."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin import AdminSite
from django.test import Client, override_settings
from django.urls import path, reverse

from django_tasks.admin import QueuedMessageAdmin, TaskGroupAdmin, TaskResultAdmin, WorkerAdmin
from django_tasks.admin.overview import OverviewPage
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult, Worker

if TYPE_CHECKING:
    from pytest_django import Settings

PAGES = {
    TaskResult: TaskResultAdmin,
    TaskGroup: TaskGroupAdmin,
    QueuedMessage: QueuedMessageAdmin,
    Worker: WorkerAdmin,
}


@pytest.fixture
def office() -> Iterator[AdminSite]:
    with opened() as site:
        yield site


@contextmanager
def opened(**other: Any) -> Iterator[AdminSite]:
    """A site of its own name, at its own place; `other` is what is different of its tasks."""
    site = AdminSite(name="office")
    for model, shown in PAGES.items():
        site.register(model, shown, **(other if model is TaskResult else {}))
    urls = types.ModuleType("office_urls")
    urls.urlpatterns = [path("office/", site.urls)]  # type: ignore[attr-defined]
    with override_settings(ROOT_URLCONF=urls):
        yield site


def test_another_admin_site_shows_the_same_pages(
    page: Client, office: AdminSite, make_task: Any, make_group: Any, make_message: Any, make_worker: Any
) -> None:
    for row in (make_task(), make_group(), make_message(), make_worker()):
        model = row._meta.model_name
        listed = page.get(reverse(f"office:django_tasks_{model}_changelist"))
        detail = reverse(f"office:django_tasks_{model}_change", args=[row.pk])

        assert detail in listed.text
        assert page.get(detail).status_code == 200


def test_the_search_and_the_filters_work_there(page: Client, office: AdminSite, make_task: Any) -> None:
    task = make_task(status="FAILURE")

    html = page.get(
        reverse("office:django_tasks_taskresult_changelist"), {"q": task.id, "status": "FAILURE"}
    ).text

    assert task.id in html


def test_links_between_rows_stay_on_the_site(
    page: Client, office: AdminSite, make_task: Any, make_group: Any
) -> None:
    group = make_group()
    task = make_task(group_id=group.id, parent_id="sender")

    html = page.get(reverse("office:django_tasks_taskresult_change", args=[task.pk])).text

    assert f'<a href="/office/django_tasks/taskgroup/{group.id}/change/">' in html
    assert '<a href="/office/django_tasks/taskresult/sender/change/">sender</a>' in html


def test_rows_that_a_site_does_not_show_are_not_linked_to(
    page: Client, office: AdminSite, make_task: Any, make_group: Any
) -> None:
    office.unregister(TaskGroup)
    group = make_group()

    html = page.get(
        reverse("office:django_tasks_taskresult_change", args=[make_task(group_id=group.id).pk])
    ).text

    assert "17 of 20" in html
    assert "/taskgroup/" not in html


def test_the_overview_does_without_the_pages_that_a_site_leaves_out(page: Client) -> None:
    with opened(pages=(OverviewPage,)):
        overview = reverse("office:django_tasks_overview")

        html = page.get(overview).text
        part = page.get(overview, {"_fragment": "failures"})

    assert "Oldest waiting" in html
    assert "Failures by error" not in html
    assert part.status_code == 404


@pytest.fixture
def _two_databases(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for alias in ("tasks", "messages"):
        monkeypatch.setitem(settings.DATABASES, alias, {})
    settings.DJANGO_TASKS = {"DATABASE": "tasks", "BROKER_URL": "django://messages"}
    broker.cache_clear()
    yield
    broker.cache_clear()


@pytest.mark.usefixtures("_two_databases")
def test_rows_are_read_from_the_database_that_has_them(rf: Any) -> None:
    site = AdminSite()

    aliases = [shown(model, site).get_queryset(rf.get("/")).db for model, shown in PAGES.items()]

    assert aliases == ["tasks", "tasks", "messages", "tasks"]
