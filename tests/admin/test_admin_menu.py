"""The way from Django's menu to the overview."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse


def test_the_menu_leads_to_the_overview(page: Client) -> None:
    entry = reverse("admin:django_tasks_overview_changelist")

    assert f'href="{entry}"' in page.get(reverse("admin:index")).text
    assert page.get(entry, follow=True).redirect_chain == [(reverse("admin:django_tasks_overview"), 302)]


def test_who_may_not_see_tasks_has_no_such_entry(db: None, client: Client) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_worker"))
    client.force_login(clerk)

    menu = client.get(reverse("admin:index")).text

    assert reverse("admin:django_tasks_worker_changelist") in menu
    assert reverse("admin:django_tasks_overview_changelist") not in menu
