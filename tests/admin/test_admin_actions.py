"""What can be done with a button: by whom, how it is confirmed, and what is written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from django_tasks.admin.acting import Acting, keys_in
from django_tasks.admin.actions import Action, Refused
from django_tasks.admin.rows import RowAdmin

CODENAMES = (
    *("retry_task", "cancel_task", "reschedule_task", "enqueue_task", "delete_taskresult", "view_payload"),
    *("purge_queue", "pause_queue", "move_task", "replay_message", "stop_worker", "kill_task"),
)
AUDIT = reverse("admin:django_tasks_audit")


def places() -> Iterator[Acting]:
    """Everything of ours on the default site that actions can be done on."""
    for shown in admin.site._registry.values():
        if isinstance(shown, RowAdmin):
            yield shown
            yield from (page(shown) for page in shown.pages)


#: All actions there are, each with where to post it.
ACTIONS = [(place.action_url(action.name), action) for place in places() for action in place.deeds]


def clerk(client: Client, *permissions: str) -> Client:
    user, _ = User.objects.get_or_create(username="clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


@pytest.mark.parametrize("codename", CODENAMES)
@pytest.mark.parametrize(("url", "action"), ACTIONS, ids=[action.name for _, action in ACTIONS])
def test_an_action_is_allowed_by_its_own_permission_and_by_no_other(
    client: Client, db: None, url: str, action: Action, codename: str
) -> None:
    needed = {action.permission, *action.also}

    without = clerk(client, *needed - {codename}).post(url, {})
    alone = clerk(client, codename).post(url, {})

    assert (without.status_code == 403) == (codename in needed)
    assert (alone.status_code != 403) == (needed == {codename})


@pytest.mark.parametrize(("url", "action"), ACTIONS, ids=[action.name for _, action in ACTIONS])
def test_no_link_can_do_an_action(page: Client, url: str, action: Action) -> None:
    assert page.get(url, {"row": "one", "confirmed": "1"}).status_code == 405


@pytest.mark.parametrize(("url", "action"), ACTIONS, ids=[action.name for _, action in ACTIONS])
def test_no_other_sites_form_can_do_an_action(db: None, url: str, action: Action) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))

    assert client.post(url, {"row": "one", "confirmed": "1"}).status_code == 403


@pytest.mark.parametrize("codename", sorted({*CODENAMES} - {"delete_taskresult"}))
def test_every_permission_is_there_once_the_tables_are(db: None, codename: str) -> None:
    assert Permission.objects.filter(content_type__app_label="django_tasks", codename=codename).count() == 1


def test_a_key_that_no_database_takes_is_none(rf: Any) -> None:
    assert keys_in(rf.post("/", {"row": ["one", "NUL\x00"], "_selected_action": ["\x00", "two"]})) == [
        "one",
        "two",
    ]


class Greeting(forms.Form):
    words = forms.CharField()


@pytest.fixture
def done() -> list[Any]:
    """What was done to what."""
    return []


@pytest.fixture
def _greet(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Actions on the tasks, for this test only."""

    def greet(request: HttpRequest, rows: Any, **asked: Any) -> str:
        done.append((sorted(row.pk for row in rows), asked))
        return f"Greeted {len(rows)}."

    def refuse(request: HttpRequest, rows: Any) -> str:
        raise Refused("Not today.")

    place: Any = next(place for place in places() if isinstance(place, RowAdmin) and place.tab == "groups")
    deeds = (
        Action(name="greet", label="Greet", permission="retry_task", perform=greet),
        Action(name="frighten", label="Frighten", permission="retry_task", perform=greet, is_dangerous=True),
        Action(name="address", label="Address", permission="retry_task", perform=greet, form=Greeting),
        Action(name="refuse", label="Refuse", permission="retry_task", perform=refuse),
    )
    monkeypatch.setattr(type(place), "deeds", deeds)


def post(client: Client, name: str, *keys: str, **more: str) -> Any:
    url = reverse("admin:django_tasks_taskgroup_action", args=[name])
    return client.post(url, {"row": list(keys), **more}, follow=True)


@pytest.mark.usefixtures("_greet")
def test_an_action_is_done_to_the_rows_that_were_chosen_and_it_says_so(
    page: Client, make_group: Any, done: list[Any]
) -> None:
    one, two, _other = make_group(), make_group(), make_group()

    html = post(page, "greet", one.pk, two.pk).text

    assert done == [(sorted([one.pk, two.pk]), {})]
    assert "Greeted 2." in html


@pytest.mark.usefixtures("_greet")
def test_one_entry_is_written_down_for_one_action(page: Client, make_group: Any) -> None:
    one, two = make_group(), make_group()

    post(page, "greet", one.pk)
    post(page, "greet", one.pk, two.pk)

    several, single = LogEntry.objects.order_by("-pk")
    assert (single.object_id, single.change_message) == (one.pk, "greet (1): Greeted 1.")
    assert (several.object_id, several.object_repr) == (None, "2 groups")
    assert several.user.get_username() == "boss"


@pytest.mark.usefixtures("_greet")
def test_a_dangerous_action_is_confirmed_first(page: Client, make_group: Any, done: list[Any]) -> None:
    group = make_group()

    asked = post(page, "frighten", group.pk, next=AUDIT)
    assert done == []
    assert f'name="row" value="{group.pk}"' in asked.text
    assert f'name="next" value="{AUDIT}"' in asked.text
    assert not LogEntry.objects.exists()

    post(page, "frighten", group.pk, confirmed="1")
    assert done == [([group.pk], {})]


@pytest.mark.usefixtures("_greet")
def test_more_rows_than_usual_want_a_word(
    page: Client, make_group: Any, done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [make_group().pk for _ in range(12)]
    from dataclasses import replace

    place: Any = next(place for place in places() if isinstance(place, RowAdmin) and place.tab == "groups")
    monkeypatch.setattr(type(place), "deeds", [replace(deed, word_from=11) for deed in place.deeds])

    asked = post(page, "frighten", *groups)
    wrong = post(page, "frighten", *groups, confirmed="1", word="fright")
    assert done == []
    assert 'name="word"' in asked.text
    assert "This is about 12:" in asked.text
    assert "Please correct" in wrong.text

    post(page, "frighten", *groups, confirmed="1", word="frighten")
    assert len(done) == 1


@pytest.mark.usefixtures("_greet")
def test_what_a_form_asks_for_comes_with_the_action(page: Client, make_group: Any, done: list[Any]) -> None:
    group = make_group()

    asked = post(page, "address", group.pk)
    wrong = post(page, "address", group.pk, confirmed="1", words="")
    assert done == []
    assert 'name="words"' in asked.text
    assert "This field is required." in wrong.text

    post(page, "address", group.pk, confirmed="1", words="hello")
    assert done == [([group.pk], {"words": "hello"})]


@pytest.mark.usefixtures("_greet")
def test_what_is_refused_is_told_and_not_written_down(page: Client, make_group: Any) -> None:
    html = post(page, "refuse", make_group().pk).text

    assert "Not today." in html
    assert not LogEntry.objects.exists()


@pytest.mark.usefixtures("_greet")
def test_nothing_is_done_to_nothing(page: Client, done: list[Any]) -> None:
    html = post(page, "greet", "gone").text

    assert "Nothing was chosen." in html
    assert done == []


@pytest.mark.usefixtures("_greet")
@pytest.mark.parametrize(
    "where", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"]
)
def test_the_way_back_stays_on_the_site(page: Client, make_group: Any, where: str) -> None:
    answer = post(page, "greet", make_group().pk, next=where)

    assert answer.redirect_chain == [(reverse("admin:django_tasks_taskgroup_changelist"), 302)]


@pytest.mark.usefixtures("_greet")
def test_the_way_back_is_where_the_button_was(page: Client, make_group: Any) -> None:
    answer = post(page, "greet", make_group().pk, next=AUDIT)

    assert answer.redirect_chain == [(AUDIT, 302)]


def test_an_unknown_action_is_not_found(page: Client) -> None:
    assert post(page, "no-such").status_code == 404


@pytest.mark.usefixtures("_greet")
def test_a_button_belongs_to_the_pages_form_and_is_there_for_who_may(
    page: Client, rf: Any, make_group: Any
) -> None:
    from django.template import Context, Template

    place: Any = next(place for place in places() if isinstance(place, RowAdmin) and place.tab == "groups")
    request = rf.get("/")
    template = Template("{% load tasks_admin %}{% tasks_action tasks_actions.greet key %}")
    for user, buttons in ((User.objects.get(), 1), (User.objects.create_user("clerk"), 0)):
        request.user = user
        html = template.render(Context({"tasks_actions": place.offers(request), "key": "<key>"}))

        assert len(re.findall(r'<button type="submit" form="tasks-act" formaction="[^"]+"', html)) == buttons
        assert "<key>" not in html
