"""The pages in each language that they are translated into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.html import escape

from django_tasks.admin.badges import STATUSES
from django_tasks.admin.tabs import TABS
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.worker.trouble import SAYS
from tests.catalogues import LANGUAGES


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest, page: Client) -> Iterator[str]:
    """What the browser asks for."""
    code = request.param.replace("_", "-").lower()
    page.defaults["HTTP_ACCEPT_LANGUAGE"] = code
    with translation.override(code):
        yield code


def row_of(row: Any) -> str:
    return reverse(f"admin:django_tasks_{row._meta.model_name}_change", args=[row.pk])


def test_every_page_answers_in_the_language(page: Client, language: str) -> None:
    for tab in TABS:
        answer = page.get(reverse(f"admin:{tab.name}"))

        assert answer.status_code == 200, tab.key
        assert f"{escape(tab.label)}</a>" in answer.text, tab.key


def test_every_rows_page_answers_in_the_language(
    page: Client, language: str, make_task: Any, make_message: Any, make_group: Any, make_worker: Any
) -> None:
    aside = make_message(state=QueuedMessage.State.ASIDE, reason="not read")
    for row in (make_task(status="FAILURE"), aside, make_group(), make_worker()):
        answer = page.get(row_of(row))

        assert answer.status_code == 200, row
        assert escape(translation.gettext("Workers")) in answer.text, row


def test_a_state_is_named_in_the_language(page: Client, language: str, make_task: Any) -> None:
    make_task(status="FAILURE")

    html = page.get(reverse("admin:django_tasks_taskresult_changelist")).text

    assert str(STATUSES["FAILURE"].label) != "Failure"
    assert escape(str(STATUSES["FAILURE"].label)) in html


def test_a_deed_is_confirmed_in_the_language(page: Client, language: str, make_task: Any) -> None:
    task = make_task(status="FAILURE")
    url = reverse("admin:django_tasks_taskresult_action", args=["delete"])

    html = page.post(url, {"row": task.pk}).text

    one = translation.ngettext("This is about one:", "This is about %(many)s:", 1) % {"many": 1}
    assert one != "This is about one:"
    assert one in html
    assert TaskResult.objects.filter(pk=task.pk).exists()


def test_what_is_the_matter_with_a_worker_is_told_in_the_language(
    page: Client, language: str, make_worker: Any
) -> None:
    """As a worker writes it, which has a language of its own: English."""
    several = " ".join(
        f"{said} ({number} of 4 processes)." for number, said in enumerate(SAYS.values(), start=1)
    )
    worker = make_worker(trouble=several)

    for path in (
        row_of(worker),
        *map(reverse, ("admin:django_tasks_workers", "admin:django_tasks_overview")),
    ):
        html = page.get(path).text
        for said in SAYS.values():
            assert said not in html
            assert escape(translation.gettext(said)) in html


def test_what_nobody_translated_is_told_as_it_was_written(
    page: Client, language: str, make_worker: Any
) -> None:
    worker = make_worker(trouble="Its disk (all of it) is full. 7 processes. It waits.")

    assert "Its disk (all of it) is full. 7 processes. It waits." in page.get(row_of(worker)).text
