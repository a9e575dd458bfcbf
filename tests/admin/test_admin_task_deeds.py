"""What can be done to tasks in the admin."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from django_tasks import states
from django_tasks.admin import TaskResultAdmin
from django_tasks.admin.task_list import TaskList
from django_tasks.exceptions import OperationalError
from django_tasks.message.saferepr import MASK
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.tasks import do_to_all
from tests.endings import OWNER, in_queues
from tests.ledger.tasks import add, note

if TYPE_CHECKING:
    from pytest_django import Settings


def do(client: Client, name: str, *ids: str, **more: str) -> str:
    url = reverse("admin:django_tasks_taskresult_action", args=[name])
    return client.post(url, {"row": list(ids), **more}, follow=True).text


def detail(client: Client, id: str) -> str:
    return client.get(reverse("admin:django_tasks_taskresult_change", args=[id])).text


def buttons(html: str) -> list[str]:
    return re.findall(r'form="tasks-act"[^>]*>([^<]+)<', html)


def ended(id: str, status: str = states.FAILURE) -> str:
    QueuedMessage.objects.all().delete()
    TaskResult.objects.filter(id=id).update(status=status)
    return id


def clerk(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_a_task_that_failed_is_sent_again_by_its_button(page: Client) -> None:
    id = ended(note.delay(1).id)
    assert "Retry" in buttons(detail(page, id))

    html = do(page, "retry", id)

    (new,) = in_queues()
    assert new.parent_id == id
    assert "Done to 1 task." in html
    assert LogEntry.objects.get().get_change_message() == "retry (1): Done to 1 task."


def test_a_page_has_the_buttons_there_is_a_point_in(page: Client) -> None:
    waiting, later, running = note.delay(1), note.apply_async((1,), countdown=3600), note.delay(1)
    TaskResult.objects.claim([running.id], OWNER)

    assert buttons(detail(page, waiting.id)) == ["Reschedule", "Change queue or priority", "Cancel"]
    assert "Run now" in buttons(detail(page, later.id))
    assert buttons(detail(page, running.id)) == ["Stop"]
    assert buttons(detail(page, ended(waiting.id))) == ["Retry", "Edit &amp; retry", "Delete"]


def test_the_buttons_are_for_those_who_may(client: Client, db: None) -> None:
    id = ended(note.delay(1).id)

    assert buttons(detail(clerk(client, "view_taskresult", "retry_task"), id)) == ["Retry"]


def test_what_waits_is_cancelled_once_it_is_confirmed(page: Client) -> None:
    waiting = note.delay(1)

    asked = do(page, "cancel", waiting.id)
    assert TaskResult.objects.get().status == states.PENDING
    assert waiting.id in asked

    do(page, "cancel", waiting.id, confirmed="1")
    assert TaskResult.objects.get().status == states.REVOKED


def test_it_is_told_why_nothing_was_done(page: Client) -> None:
    waiting = note.delay(1)

    html = do(page, "retry", waiting.id)

    assert "Only what has ended, and can be read, is sent again." in html
    assert not LogEntry.objects.exists()


def test_a_waiting_task_is_put_off_and_run_now(page: Client) -> None:
    waiting = note.delay(1)

    do(page, "reschedule", waiting.id, confirmed="1", due="2100-01-02T03:04:05")
    assert QueuedMessage.objects.get().state == "parked"

    do(page, "run_now", waiting.id)
    assert QueuedMessage.objects.get().state == "ready"


def test_a_waiting_task_is_moved(page: Client) -> None:
    waiting = note.delay(1)

    wrong = do(page, "move", waiting.id, confirmed="1", queue="", priority="")
    assert "Choose another queue, or another priority." in wrong
    assert "This field" not in do(page, "move", waiting.id)

    do(page, "move", waiting.id, confirmed="1", queue="", priority="8")
    assert TaskResult.objects.get().priority == QueuedMessage.objects.get().priority == 8


def test_arguments_are_edited_as_json(page: Client) -> None:
    id = ended(add.delay(1, 2).id)

    asked = do(page, "edit", id)
    refused = do(page, "edit", id, confirmed="1", args="[1]", kwargs='{"no_such": 1}')
    spoilt = do(page, "edit", id, confirmed="1", args="[1", kwargs="{}")
    assert in_queues() == []
    do(page, "edit", id, confirmed="1", args="[1]", kwargs='{"y": 40}')

    assert 'name="args"' in asked
    assert "cannot be called so" in refused
    assert "Enter a valid JSON." in spoilt
    (new,) = in_queues()
    assert (list(new.args), dict(new.kwargs)) == ([1], {"y": 40})


def test_secrets_stay_masked_and_stay_what_they_are(page: Client, settings: Settings) -> None:
    settings.DJANGO_TASKS = {"REDACT": ["number"]}
    id = ended(note.apply_async(kwargs={"number": 4143}).id)
    kept = json.dumps({"number": MASK})

    asked = do(page, "edit", id)
    misplaced = do(page, "edit", id, confirmed="1", args=json.dumps([MASK]), kwargs="{}")
    do(page, "edit", id, confirmed="1", args="[]", kwargs=kept)

    assert MASK in asked
    assert "4143" not in asked
    assert "stands for nothing there" in misplaced
    (new,) = in_queues()
    assert dict(new.kwargs) == {"number": 4143}
    assert "4143" not in TaskResult.objects.get(id=new.id).kwargs


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([MASK], {}),
        ([MASK, MASK], {}),
        ([1, 2], {"z": MASK}),
        ([1, {"number": MASK}], {}),
        ([1, [{"who": "her", "number": MASK}]], {}),
    ],
)
def test_a_mask_stands_for_nothing_where_there_was_none(
    page: Client, settings: Settings, args: list[Any], kwargs: dict[str, Any]
) -> None:
    settings.DJANGO_TASKS = {"REDACT": ["number"]}
    two = [{"who": "him", "number": 1}, {"who": "her", "number": 2}]
    id = ended(add.delay("shown", two).id)

    html = do(page, "edit", id, confirmed="1", args=json.dumps(args), kwargs=json.dumps(kwargs))

    assert "stands for nothing there" in html
    assert in_queues() == []


def test_what_stands_beside_a_secret_is_edited(page: Client, settings: Settings) -> None:
    settings.DJANGO_TASKS = {"REDACT": ["number", "x"]}
    id = ended(add.delay(1, [{"who": "him", "number": 2}]).id)
    written = [MASK, [{"who": "her", "number": MASK}]]

    do(page, "edit", id, confirmed="1", args=json.dumps(written), kwargs="{}")

    (new,) = in_queues()
    assert list(new.args) == [1, [{"who": "her", "number": 2}]]


def test_what_cannot_be_sent_to_the_background_is_told(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(note.delay(1).id)

    def away(*args: Any) -> None:
        raise OperationalError("The broker is away.")

    monkeypatch.setattr(do_to_all, "delay", away)

    assert "The broker is away." in do(page, "retry", everything="1", asked="", confirmed="1")
    assert not LogEntry.objects.exists()


def test_to_edit_takes_the_permission_to_see_what_is_edited(client: Client, db: None) -> None:
    id = ended(note.delay(1).id)
    url = reverse("admin:django_tasks_taskresult_action", args=["edit"])

    assert clerk(client, "view_taskresult", "retry_task").post(url, {"row": id}).status_code == 403


def test_all_that_a_list_shows_is_done_in_the_background(page: Client) -> None:
    for result in note.bulk([(number,) for number in range(12)]):
        ended(result.id)

    asked = do(page, "retry", everything="1", asked="status=FAILURE")
    assert "This is about 12:" in asked
    assert len(re.findall(r"<li>tests.ledger.tasks.note ", asked)) == 10
    assert in_queues() == []
    (until,) = re.findall(r'name="until" value="([^"]+)"', asked)
    html = do(page, "retry", everything="1", asked="status=FAILURE", until=until, confirmed="1")

    (background,) = in_queues()
    assert background.task == "django_tasks.do_to_all"
    assert background.id in html
    assert background.args[0] == "retry"
    assert background.args[1]["asked"] == {"status": "FAILURE"}
    assert background.args[1]["until"] == until
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.object_repr) == (None, "12 tasks")


def test_who_sees_only_some_tasks_does_nothing_to_the_others(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = (ended(result.id) for result in note.bulk([(1,), (2,)]))
    seen = TaskResultAdmin.get_queryset
    monkeypatch.setattr(
        TaskResultAdmin, "get_queryset", lambda self, request: seen(self, request).filter(id=mine)
    )

    do(page, "retry", mine, other)
    html = do(page, "retry", everything="1", asked="")

    assert [message.parent_id for message in in_queues()] == [mine]
    assert "tick those that you mean" in html


class FromShops(SimpleListFilter):
    """What a project adds: a filter that only its list knows."""

    title, parameter_name = "shop", "shop"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "the first")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[TaskResult]) -> QuerySet[TaskResult]:
        return queryset.filter(id="of the first") if self.value() == "1" else queryset


def nothing_is_found(self: TaskResultAdmin, request: HttpRequest, queryset: Any, term: str) -> Any:
    return queryset.none(), False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("list_filter", (*TaskResultAdmin.list_filter, FromShops)),
        ("list_filter", ("worker",)),
        ("get_search_results", nothing_is_found),
        ("get_changelist", lambda self, request, **kwargs: type("Narrower", (TaskList,), {})),
    ],
)
def test_all_that_match_is_not_offered_where_the_project_shows_less(
    page: Client, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    ended(note.delay(1).id)
    tasks = reverse("admin:django_tasks_taskresult_changelist")
    before = page.get(tasks).text
    office = type("Office", (TaskResultAdmin,), {name: value})
    monkeypatch.setattr(admin.site._registry[TaskResult], "__class__", office)

    offered = page.get(tasks).text
    html = do(page, "retry", everything="1", asked="", confirmed="1")

    assert 'name="everything"' in before
    assert 'name="everything"' not in offered
    assert "tick those that you mean" in html
    assert in_queues() == []


@pytest.mark.parametrize("until", ["spoilt", "2026", ""])
def test_a_spoilt_form_does_nothing(page: Client, until: str) -> None:
    ended(note.delay(1).id)

    do(page, "delete", everything="1", asked="status=NUL\x00&no=such", until=until, confirmed="1")

    assert TaskResult.objects.filter(task=note.name).count() == 1


def test_hostile_text_is_text_where_it_is_confirmed(page: Client, make_task: Any) -> None:
    make_task(id="<script>alert(1)", task="<script>alert(2)")

    html = do(page, "cancel", "<script>alert(1)", next="'\"><script>alert(3)")

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(2)" in html
