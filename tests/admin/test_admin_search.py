"""Searching: an id, or the beginning of a task's name."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from django_tasks.models import TaskResult

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
LIST = reverse("admin:django_tasks_taskresult_changelist")


def found(page: Client, term: str, **query: str) -> list[str]:
    return [row.id for row in page.get(LIST, {"q": term, **query}).context["cl"].result_list]


def names_beginning_with(beginning: str) -> list[str]:
    return sorted(set(TaskResult.objects.of_tasks_named(beginning).values_list("task", flat=True)))


def test_an_id_finds_its_task_alone(page: Client, make_task: Any) -> None:
    wanted = make_task()
    make_task()

    assert found(page, f" {wanted.id} ") == [wanted.id]


def test_an_id_that_is_also_the_beginning_of_a_name_finds_the_task_with_the_id(
    page: Client, make_task: Any
) -> None:
    make_task(id="shop")
    make_task(id="other", task="shop.tasks.pay")

    assert found(page, "shop") == ["shop"]


def test_the_beginning_of_a_name_finds_its_tasks(page: Client, make_task: Any) -> None:
    make_task(id="pay", task="shop.tasks.pay")
    make_task(id="blog", task="blog.tasks.publish")

    assert found(page, "shop.ta") == ["pay"]


def test_what_is_found_is_grouped_by_task_with_the_newest_first(page: Client, make_task: Any) -> None:
    for id, task, minutes in (("a old", "shop.a", 3), ("b", "shop.b", 2), ("a new", "shop.a", 1)):
        make_task(id=id, task=task, created_at=NOW - dt.timedelta(minutes=minutes))

    assert found(page, "shop.") == ["b", "a new", "a old"]


def test_a_search_stays_within_the_filters(page: Client, make_task: Any) -> None:
    make_task(id="failed", status="FAILURE")
    make_task(id="waiting")

    assert found(page, "shop.", status="FAILURE") == ["failed"]


def test_a_word_from_the_middle_of_a_name_finds_nothing(page: Client, make_task: Any) -> None:
    make_task(task="shop.tasks.pay")

    assert found(page, "pay") == []


@pytest.mark.parametrize("beginning", ["z", "9", "shop.", "Z", "é", "a_", "-", ":", "中"])
def test_whatever_a_beginning_ends_with_nothing_is_missed(make_task: Any, beginning: str) -> None:
    for end in ("", ".x", "z", "9", "_", "é"):
        make_task(task=f"{beginning}{end}")
    make_task(task="m.between")

    assert names_beginning_with(beginning) == sorted(
        f"{beginning}{end}" for end in ("", ".x", "z", "9", "_", "é")
    )


def test_case_matters_on_every_database(make_task: Any) -> None:
    make_task(task="shop.pay")
    make_task(task="Shop.pay")

    assert names_beginning_with("Shop") == ["Shop.pay"]


@pytest.mark.parametrize("wildcard", ["%", "_", "\\", "'"])
def test_no_character_is_a_wildcard(make_task: Any, wildcard: str) -> None:
    make_task(task="shop.pay")
    make_task(task=f"shop{wildcard}pay")

    assert names_beginning_with(f"shop{wildcard}") == [f"shop{wildcard}pay"]


def test_a_term_that_databases_refuse_is_answered_with_a_message(page: Client) -> None:
    response = page.get(LIST, {"q": "a\x00b"})

    assert response.status_code == 200
    assert "Null characters are not allowed." in response.text
