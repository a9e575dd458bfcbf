"""Offering again what was set aside."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_tasks.brokers.payload import cut
from django_tasks.models import QueuedMessage

MESSAGES = reverse("admin:django_tasks_queuedmessage_changelist")


def replay(client: Client, *rows: QueuedMessage, **more: str) -> str:
    chosen = {"action": "replay", "_selected_action": [row.pk for row in rows], **more}
    return client.post(MESSAGES, chosen, follow=True).text


def states() -> list[str]:
    return list(QueuedMessage.objects.order_by("pk").values_list("state", flat=True))


def clerk(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_chosen_messages_are_offered_again_and_it_says_how_many(page: Client, make_message: Any) -> None:
    rows = [make_message(state="aside", reason="unknown task") for _ in range(3)]

    html = replay(page, *rows[:2])

    assert states() == ["ready", "ready", "aside"]
    assert "2 messages are offered again." in html


def test_who_replayed_what_is_in_the_log(page: Client, make_message: Any) -> None:
    row = make_message(state="aside")

    replay(page, row)

    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id, entry.action_flag) == ("boss", str(row.pk), CHANGE)
    assert entry.get_change_message() == "replay (1): 1 message is offered again."


def test_what_was_not_kept_whole_is_refused_with_a_sentence(page: Client, make_message: Any) -> None:
    row = make_message(state="aside", payload=cut("a", "b", 5_000_000))

    html = replay(page, row)

    assert states() == ["aside"]
    assert "1 message was too large to be kept whole." in html
    assert not LogEntry.objects.exists()


def test_what_is_not_set_aside_stays_as_it_is(page: Client, make_message: Any) -> None:
    rows = [make_message(state=state) for state in ("ready", "claimed", "parked")]

    html = replay(page, *rows)

    assert states() == ["ready", "claimed", "parked"]
    assert "3 messages were not set aside, and stay as they are." in html
    assert "0 messages are offered again." in html


def test_all_of_a_list_can_be_replayed_at_once(page: Client, make_message: Any) -> None:
    rows = [make_message(state="aside") for _ in range(120)]

    html = replay(page, rows[0], select_across="1")

    assert set(states()) == {"ready"}
    assert "120 messages are offered again." in html
    assert LogEntry.objects.get().object_repr == "120 queued messages"


def test_all_of_a_filtered_list_are_those_that_are_discarded(page: Client, make_message: Any) -> None:
    """What is confirmed is what was chosen: the page asked for it at the list's address, without its filter."""
    rows = [make_message(state="aside", queue="other") for _ in range(60)]
    left = make_message(state="aside", queue="default")
    chosen = {"action": "discard", "index": 0, "_selected_action": rows[0].pk, "select_across": 1}

    asked = page.post(f"{MESSAGES}?queue=other", chosen).text
    address = re.search(r'<form method="post" action="([^"]+)" class="tasks-confirm"', asked)
    carried: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', asked):
        carried.setdefault(name, []).append(unescape(value))
    assert address is not None
    page.post(address[1], carried)

    assert [row.pk for row in QueuedMessage.objects.all()] == [left.pk]


def test_who_may_only_look_is_not_offered_it_and_cannot_do_it(client: Client, make_message: Any) -> None:
    row = make_message(state="aside")

    html = replay(clerk(client, "view_queuedmessage"), row)

    assert states() == ["aside"]
    assert 'name="action"' not in html


def test_who_may_replay_messages_may_do_nothing_else(client: Client, make_message: Any) -> None:
    row = make_message(state="aside")

    html = replay(clerk(client, "view_queuedmessage", "replay_message"), row)

    assert states() == ["ready"]
    assert "1 message is offered again." in html
    assert 'value="delete_selected"' not in html


def test_a_link_cannot_replay(page: Client, make_message: Any) -> None:
    row = make_message(state="aside")

    page.get(MESSAGES, {"action": "replay", "_selected_action": row.pk})

    assert states() == ["aside"]
