"""Groups: how far they are, their tasks, and who sent what."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

from django_tasks import task
from django_tasks.models import TaskResult, result_lists

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
TASKS = reverse("admin:django_tasks_taskresult_changelist")
GROUPS = reverse("admin:django_tasks_taskgroup_changelist")


def detail(page: Client, row: Any) -> str:
    path = reverse(f"admin:django_tasks_{row._meta.model_name}_change", args=[quote(row.pk)])
    return page.get(path).text


def listed(page: Client, path: str, **query: str) -> list[str]:
    response = page.get(path, query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


@task(redact=["iban"])
def transfer(iban: str, eur: int) -> None: ...


# -- groups


def test_the_newest_group_comes_first_with_its_progress(page: Client, make_group: Any) -> None:
    under_way = make_group()
    done = make_group(total=5, pending=0, finished_at=NOW)
    broken = make_group(total=7, pending=0, failed=2, finished_at=NOW)

    html = page.get(GROUPS).text

    assert listed(page, GROUPS) == [broken.id, done.id, under_way.id]
    for shown in ("17 of 20", "5 of 5", "7 of 7", ">2<"):
        assert shown in html
    assert html.index("tasks-bad") < html.index("tasks-good") < html.index("tasks-busy")


def test_a_group_is_found_by_its_id(page: Client, make_group: Any) -> None:
    wanted = make_group()
    make_group()

    assert listed(page, GROUPS, q=f" {wanted.id} ") == [wanted.id]
    assert listed(page, GROUPS, q=wanted.id[:8]) == []


def test_a_group_leads_to_its_tasks_and_to_who_sent_it(page: Client, make_group: Any) -> None:
    html = detail(page, make_group(id="my group", parent_id="sender", root_id="first"))

    assert f'<a href="{TASKS}?group_id=my+group">' in html
    assert f'<a href="{TASKS}sender/change/">sender</a>' in html
    assert f'<a href="{TASKS}first/change/">first</a>' in html


def test_the_body_of_a_chord_is_shown_without_secrets(page: Client, make_group: Any) -> None:
    inner = {
        "task": transfer.name,
        "args": ["DE02", 5],
        "kwargs": {"iban": "DE89", "eur": 3, "password": "pw"},
    }
    body = {"task": "celery.chain", "args": [], "kwargs": {"tasks": [inner]}, "subtask_type": "chain"}

    html = detail(page, make_group(body=json.dumps(body)))

    assert "celery.chain" in html
    assert transfer.name in html
    assert "&quot;eur&quot;: 3" in html
    for secret in ("DE02", "DE89", "&quot;pw&quot;"):
        assert secret not in html


@pytest.mark.parametrize("body", ["{no json with a secret", "[" * 100_000])
def test_a_body_that_cannot_be_read_is_not_shown(page: Client, make_group: Any, body: str) -> None:
    html = detail(page, make_group(body=body))

    assert "It cannot be read." in html
    assert body[:20] not in html


def test_lists_of_groups_take_two_queries_and_pages_one_besides_the_user(
    page: Client, make_group: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    groups = [make_group(saved="[[1, 2, 3]]", body="{}") for _ in range(3)]
    page.get(GROUPS)
    detail(page, groups[0])

    with django_assert_num_queries(3) as queries:
        page.get(GROUPS)
    with django_assert_num_queries(2):
        detail(page, groups[0])

    assert "body" not in queries.captured_queries[-1]["sql"]


# -- tasks of groups


def test_a_task_shows_how_far_its_group_is(
    page: Client, make_task: Any, make_group: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    group = make_group()
    member = make_task(status="SUCCESS", group_id=group.id, group_index=0)
    detail(page, member)

    with django_assert_num_queries(6):
        html = detail(page, member)

    assert "17 of 20" in html
    assert f'<a href="{GROUPS}{group.id.replace("_", "_5F")}/change/">{group.id}</a>' in html
    assert f'<a href="{TASKS}?group_id={group.id}">its tasks</a>' in html


def test_a_task_of_a_group_that_is_gone_says_which_it_was(page: Client, make_task: Any) -> None:
    html = detail(page, make_task(group_id="gone"))

    assert f'gone (<a href="{TASKS}?group_id=gone">its tasks</a>)' in html


def test_the_tasks_of_a_group_are_listed_in_its_order(page: Client, make_task: Any) -> None:
    for place in (2, 0, 1):
        make_task(id=f"member {place}", group_id="mine", group_index=place)
    make_task(group_id="other", group_index=0)

    assert listed(page, TASKS, group_id="mine") == ["member 0", "member 1", "member 2"]
    assert listed(page, TASKS, group_id="mine", status="FAILURE") == []
    assert listed(page, TASKS, group_id="NUL \x00") == []


# -- who sent what


def test_a_task_leads_to_who_sent_it_and_to_the_first_of_all(page: Client, make_task: Any) -> None:
    html = detail(page, make_task(id="third", parent_id="second", root_id="first"))

    assert f'<a href="{TASKS}second/change/">second</a>' in html
    assert f'<a href="{TASKS}first/change/">first</a>' in html
    assert f'<a href="{TASKS}?origin=first">' in html
    assert f'<a href="{TASKS}?origin=third">' in html


def test_a_task_that_nobody_sent_leads_to_nobody(page: Client, make_task: Any) -> None:
    html = detail(page, make_task(id="first", root_id="first"))

    assert f'<a href="{TASKS}first/change/">' not in html


def test_what_came_of_a_task_is_listed_generation_by_generation(page: Client, make_task: Any) -> None:
    for id, sender in (("a", None), ("b", "a"), ("c", "b"), ("d", "a"), ("other", None)):
        make_task(id=id, parent_id=sender)

    assert sorted(listed(page, TASKS, origin="a")) == ["a", "b", "c", "d"]
    assert sorted(listed(page, TASKS, origin="b")) == ["b", "c"]
    assert listed(page, TASKS, origin="unknown") == listed(page, TASKS, origin="NUL \x00") == []


def test_large_families_are_cut_and_circles_end(make_task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        make_task(id=f"link {number}", parent_id=f"link {(number - 1) % 10}")
        make_task(id=f"twig {number}", parent_id="link 0")

    assert TaskResult.objects.came_of("link 0", most=1000).count() == 20
    assert TaskResult.objects.came_of("link 0", most=5).count() == 5
    monkeypatch.setattr(result_lists, "GENERATIONS", 3)
    assert TaskResult.objects.came_of("link 0").count() == 14
