"""Searching: an id, or the beginning of a task's name."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_tasks import clock
from django_tasks.models import TaskResult
from django_tasks.steering.selection import Selection

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


@pytest.mark.parametrize(
    ("term", "there"),
    [
        ("task:shop.", ["pay"]),
        ("task:shop. queue:mail", ["pay"]),
        ("queue:default", ["blog"]),
        ("status:failure", ["pay"]),
        ("worker:w1", ["pay"]),
        ("user:42", ["pay"]),
        ("user:4", []),
        ('error:"timed out"', ["pay"]),
        ("error:TIMED", ["pay"]),
        ("arg.customer_id:42", ["pay"]),
        ("arg.customer_id:4", []),
        ("arg.name:ada", ["pay"]),
        ("id:blog", ["blog"]),
        ("shop. arg.customer_id:42", ["pay"]),
        ("shop. queue:default", []),
        ("id:blog\\", []),
        ("unknown:word", []),
    ],
)
def test_words_with_a_colon_say_what_is_searched_where(
    page: Client, make_task: Any, term: str, there: list[str]
) -> None:
    now = clock.to_storage(clock.now())
    make_task(
        id="pay",
        task="shop.tasks.pay",
        queue="mail",
        status="FAILURE",
        worker="w1",
        result='{"exc_type": "OSError", "exc_message": ["timed out"]}',
        kwargs="{'customer_id': 42, 'name': 'ada'}",
        user_id="42",
        created_at=now,
    )
    make_task(id="blog", task="blog.tasks.publish", created_at=now)

    assert found(page, term) == there


@pytest.mark.parametrize(
    "term",
    ["error:", ":", "arg.:1", "arg.x:", "user:", "user:%", "user:é中", '"', "task:", "a:b:c", "%", "error:%"],
)
def test_no_search_is_an_error(page: Client, make_task: Any, term: str) -> None:
    make_task(created_at=clock.to_storage(clock.now()))

    assert page.get(LIST, {"q": term}).status_code == 200


@pytest.mark.parametrize("term", ["worker:w1", "user:42", "error:late", "arg.name:ada"])
def test_what_is_searched_row_by_row_is_searched_for_a_day(page: Client, make_task: Any, term: str) -> None:
    row = {
        "worker": "w1",
        "user_id": "42",
        "status": "FAILURE",
        "result": "late",
        "kwargs": "{'name': 'ada'}",
    }
    make_task(id="old", **row)
    make_task(id="new", **row, created_at=clock.to_storage(clock.now()))

    assert found(page, term) == ["new"]


def test_a_user_is_found_by_the_name_as_well_as_by_the_key(page: Client, make_task: Any) -> None:
    now = clock.to_storage(clock.now())
    ada, bob = (User.objects.create_user(name) for name in ("ada", "bob o'hara"))
    for id, user in (("of ada", ada), ("of bob", bob), ("of nobody", None)):
        make_task(id=id, user_id=None if user is None else str(user.pk), created_at=now)

    assert found(page, "user:ada") == found(page, f"user:{ada.pk}") == ["of ada"]
    assert found(page, 'user:"bob o\'hara"') == ["of bob"]
    assert found(page, "user:nobody") == []


def test_whoever_is_called_like_a_key_is_found_with_whose_key_it_is(page: Client, make_task: Any) -> None:
    now = clock.to_storage(clock.now())
    one = User.objects.create_user("one")
    called = User.objects.create_user(str(one.pk))
    make_task(id="key", user_id=str(one.pk), created_at=now)
    make_task(id="name", user_id=str(called.pk), created_at=now)

    assert sorted(found(page, f"user:{one.pk}")) == ["key", "name"]


def test_where_users_are_not_named_by_text_they_are_found_by_their_keys(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "USERNAME_FIELD", "id")
    make_task(id="of a key", user_id="ada", created_at=clock.to_storage(clock.now()))

    assert found(page, "user:ada") == ["of a key"]


def test_all_that_a_search_for_a_user_shows_can_be_acted_on(make_task: Any) -> None:
    ada = User.objects.create_user("ada")
    make_task(id="of ada", user_id=str(ada.pk), created_at=clock.to_storage(clock.now()))
    make_task(id="other", created_at=clock.to_storage(clock.now()))

    assert list(Selection.shown({"q": "user:ada"}).batches()) == [["of ada"]]
