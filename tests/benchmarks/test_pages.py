"""The site on which pages are measured, and the pages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from benchmarks import history, pages
from django_tasks.models import QueuedMessage, TaskResult, TaskRollup, Worker

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor == "mysql", reason="there ANALYZE ends the test's transaction"),
]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BACKLOG", 400)


def test_the_site_has_a_past_and_a_present_and_is_made_once() -> None:
    history.make(200)
    history.make(200)

    assert TaskResult.objects.count() == 200
    assert sum(row.figures.ended for row in TaskRollup.objects.ever().of_all_tasks()) == 200
    assert (QueuedMessage.objects.count(), Worker.objects.count()) == (400, 4)


def test_a_database_with_tasks_of_others_is_left_alone() -> None:
    TaskResult.objects.create(
        id="mine", task="t", queue="default", message="{}", created_at=history.clock.now()
    )

    with pytest.raises(history.NotOurs):
        history.make(10)

    assert TaskResult.objects.count() == 1


def test_there_is_an_answer_to_every_page_that_is_measured(client: Client) -> None:
    history.make(50)
    client.force_login(User.objects.create_superuser("boss"))

    found = dict(pages._pages())

    assert {"overview", "tasks", "a task"} <= set(found)
    assert {client.get(address).status_code for address in found.values()} == {200}
