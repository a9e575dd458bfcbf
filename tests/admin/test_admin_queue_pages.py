"""The page of the queues, and that of one: what they show, and what their buttons do."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from django_tasks import app, clock
from django_tasks.admin.queue_pages import FlowLine
from django_tasks.admin.times import NOTHING
from django_tasks.brokers.handler import broker
from django_tasks.dispatch import depths, sizes
from django_tasks.dispatch.depths import Depth
from django_tasks.exceptions import OperationalError
from django_tasks.models import QueuedMessage, QueuePause, TaskResult
from django_tasks.models.counting import Count
from django_tasks.overview.course import Course
from tests.ledger.tasks import note, note_untracked

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

QUEUES = reverse("admin:django_tasks_queues")
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|javascript:", re.IGNORECASE)
HOSTILE = "<script>alert(1)</script>"
#: What the drawing says to those who do not see it.
COURSE = "Tasks of default that ended, by the hour"


def of(queue: str) -> str:
    return reverse("admin:django_tasks_queue", args=[queue])


def post(client: Client, name: str, *queues: str, **more: str) -> str:
    url = reverse("admin:django_tasks_queues_action", args=[name])
    return client.post(url, {"row": list(queues), **more}, follow=True).text


def row_of(page: Client, queue: str) -> str:
    """The text of a queue's line."""
    (line,) = (
        row for row in re.findall(r"<tr>.*?</tr>", page.get(QUEUES).text, re.DOTALL) if of(queue) in row
    )
    return " ".join(re.sub(r"<[^>]+>", " ", line).split())


def ago(**span: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(**span))


def test_a_queue_is_shown_with_how_full_it_is_and_who_serves_it(
    page: Client, make_message: Any, make_task: Any, make_worker: Any
) -> None:
    make_worker(queues="default, other", processes=4, threads=2)
    for minutes in (1, 6, 3):
        make_message(sent_at=ago(minutes=minutes), priority=minutes)
    make_message(state="parked", deliver_at=ago(hours=-1))
    make_task(claimed_by="w.1")

    assert row_of(page, "default") == f"default 3 6 min 00 s 1 1/8 0 1 0.0 / 0.0 not in sight {COURSE} Pause"
    third = f"third 0 – 0 0/0 0 0 0.0 / 0.0 – {COURSE} Pause"  # noqa: RUF001
    assert row_of(page, "third") == third.replace("default", "third")


def test_a_queue_that_nobody_serves_says_so_only_if_something_waits(page: Client, make_message: Any) -> None:
    make_message(queue="other")

    assert "no worker" in row_of(page, "other")
    assert "no worker" not in row_of(page, "third")


def test_a_queue_may_be_called_anything(page: Client, make_message: Any) -> None:
    make_message(queue="a/b c")

    assert page.get(of("a/b c")).status_code == 200


def test_what_is_left_of_a_queue_that_is_not_declared_is_shown(page: Client, make_message: Any) -> None:
    make_message(queue="renamed")

    assert "not declared" in row_of(page, "renamed")
    assert "Pause" not in row_of(page, "renamed")


def test_a_pause_is_shown_with_reason_moment_and_who_wants_it(page: Client) -> None:
    app.control.pause_queue("other", HOSTILE, until=clock.now() + dt.timedelta(hours=2, minutes=1), by="ada")

    line, html = row_of(page, "other"), page.get(QUEUES).text

    for shown in ("paused", "0 s ago", "ada", "served again in 2 h", "Resume"):
        assert shown in line
    assert HOSTILE not in html
    assert "&lt;script&gt;" in html


def test_counts_end_where_nobody_wants_to_know_more(
    page: Client, make_message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_tasks.admin.queue_pages.MOST", 2)
    for _ in range(5):
        make_message()

    assert "2+" in row_of(page, "default")


def test_the_page_does_not_wait_for_a_broker_that_is_away(
    page: Client, make_message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        is_embedded = False
        alias = "default"

        def size(self, queue: str) -> int:
            raise OperationalError("gone")

    monkeypatch.setattr(depths, "broker", Away)
    monkeypatch.setattr(sizes, "broker", Away)
    make_message(state="aside")

    assert "not known" in row_of(page, "default")
    assert f" 1 0 0.0 / 0.0 – {COURSE} Pause" in row_of(page, "default")  # noqa: RUF001


@pytest.mark.usefixtures("steady_statements")
def test_the_queues_take_eight_queries_besides_the_user(
    page: Client, make_message: Any, make_worker: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        make_message(queue=f"queue{number}")
    make_worker()
    page.get(QUEUES)

    with django_assert_num_queries(9):
        page.get(QUEUES)


@pytest.mark.usefixtures("steady_statements")
def test_one_queue_takes_eight_queries_besides_the_user(
    page: Client, make_message: Any, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        make_message()
        make_message(state="aside", reason="x")
        make_task(claimed_by="w.1", started_at=ago(minutes=1))
    page.get(of("default"))

    for asked in ({}, {"period": "7d"}):
        with django_assert_num_queries(9):
            page.get(of("default"), asked)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other planners may rightly scan a small table")
def test_no_query_of_the_pages_reads_a_whole_table(page: Client, make_message: Any, make_task: Any) -> None:
    for _ in range(30):
        make_message()
        make_task()
    asked: list[tuple[str, Any]] = []

    def note_down(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note_down):
        page.get(QUEUES)
        page.get(of("default"))
        page.get(of("default"), {"period": "24h"})

    for sql, params in asked:
        if "django_tasks_queuedmessage" in sql or "django_tasks_taskresult" in sql:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                plan = "\n".join(line[-1] for line in cursor.fetchall())
            assert not re.search(r"SCAN django_tasks_\w+\b(?! USING (COVERING )?INDEX)", plan), plan


def test_the_page_of_a_queue_shows_what_is_next_what_runs_and_what_was_set_aside(
    page: Client, make_message: Any, make_task: Any
) -> None:
    ready = make_message()
    aside = make_message(state="aside", reason=f"No task is named {HOSTILE}.")
    running = make_task(claimed_by="w.1", started_at=ago(minutes=1), worker="worker@web-1")
    elsewhere = make_message(queue="other", state="aside", reason="of another queue")

    html = page.get(of("default")).text

    for row in (ready, aside, running):
        name = f"admin:django_tasks_{row._meta.model_name}_change"
        assert reverse(name, args=[row.pk]) in html
    assert "No task is named &lt;script&gt;" in html
    assert elsewhere.reason not in html
    assert INLINE.findall(html) == INLINE.findall(page.get(QUEUES).text) == []


def test_each_part_of_a_queues_page_can_be_asked_for_alone(page: Client) -> None:
    for part, shown in (("facts", "tasks-tiles"), ("aside", "Nothing was set aside"), ("next", "empty")):
        html = page.get(of("default"), {"_fragment": part}).text
        assert shown in html
        assert "<html" not in html


def test_a_queue_that_there_is_not_is_not_found(page: Client) -> None:
    assert page.get(of("no.such")).status_code == 404
    assert page.get(of("NUL\x00")).status_code == 404


def test_who_may_not_see_messages_sees_no_queue(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("guest", is_staff=True))

    assert (client.get(QUEUES).status_code, client.get(of("default")).status_code) == (403, 403)


def test_who_may_only_look_has_no_buttons(client: Client, make_message: Any) -> None:
    make_message(state="aside")
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_queuedmessage"))
    client.force_login(clerk)

    assert "formaction" not in client.get(QUEUES).text + client.get(of("default")).text


def test_a_queue_is_shown_with_how_fast_it_fills_and_empties(
    page: Client, make_message: Any, make_task: Any
) -> None:
    for _ in range(10):
        make_task(created_at=ago(minutes=1))
    for seconds in range(20):
        make_task(created_at=ago(hours=1), status="SUCCESS", finished_at=ago(seconds=seconds + 1))
    for _ in range(4):
        make_message()

    assert "2.0 / 4.0 2 min 00 s" in row_of(page, "default")


@pytest.mark.parametrize(
    ("ready", "sent", "ended", "is_paused", "told"),
    [
        (Count(60), 1.0, 3.0, False, "30 min 00 s"),
        (Count(60, is_capped=True), 1.0, 3.0, False, "over 30 min 00 s"),
        (Count(60), 3.0, 3.0, False, "not in sight"),
        (Count(60), 1.0, 3.0, True, "not in sight"),
        (Count(0), 3.0, 1.0, False, NOTHING),
        (None, 1.0, 3.0, False, NOTHING),
    ],
)
def test_when_a_queue_is_empty_is_told_as_far_as_it_can_be(
    ready: Count | None, sent: float, ended: float, is_paused: bool, told: str
) -> None:
    depth = Mock(spec=Depth, queue="default", ready=ready, is_paused=is_paused)
    seen = Mock(spec=Course, ended_per_minute=lambda queue: ended)

    assert FlowLine(depth=depth, url="", course=seen, sent=sent).empties == told


def test_the_course_of_one_queue_is_told_of_that_queue_alone(page: Client, make_task: Any) -> None:
    for queue, number in (("default", 3), ("other", 5)):
        for _ in range(number):
            make_task(
                queue=queue,
                status="SUCCESS",
                created_at=ago(minutes=2),
                started_at=ago(seconds=62),
                finished_at=ago(seconds=60),
            )

    html = page.get(of("default"), {"period": "1h"}).text

    assert "3 succeeded and 0 failed" in html
    assert "run time p50" in html
    assert 'class="tasks-current" aria-current="true">1 hour</a>' in html
    assert "Served next" not in html
    assert INLINE.findall(html) == []
    assert "0.6" in page.get(of("default"), {"period": "1h", "_fragment": "course"}).text


def test_without_a_period_a_queue_is_as_it_is_now(page: Client) -> None:
    html = page.get(of("default")).text

    assert 'href="?" class="tasks-current" aria-current="true">Now</a>' in html
    assert "Served next" in html


# -- what the buttons do


def test_a_queue_is_paused_with_a_reason_an_end_and_a_name_and_that_is_written_down(page: Client) -> None:
    asked = post(page, "pause", "other")
    until = (clock.now() + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    html = post(page, "pause", "other", confirmed="1", reason="repairs", until=until)

    assert 'type="datetime-local"' in asked
    pause = QueuePause.objects.get()
    assert (pause.queue, pause.reason, pause.paused_by) == ("other", "repairs", "boss")
    assert pause.until is not None
    assert "No worker takes from other any more." in html
    assert LogEntry.objects.get().object_repr == "other"


def test_a_pause_that_would_be_over_is_refused(page: Client) -> None:
    html = post(page, "pause", "other", confirmed="1", until="2000-01-01T00:00")

    assert "This moment is past." in html
    assert not QueuePause.objects.exists()


def test_a_queue_is_resumed_at_once(page: Client) -> None:
    app.control.pause_queue("other")

    assert "Served again: other." in post(page, "resume", "other")
    assert app.control.paused_queues() == {}


def test_what_is_no_queue_is_refused_with_a_sentence(page: Client) -> None:
    assert "Did you mean &#x27;other&#x27;" in post(page, "pause", "othr", confirmed="1")
    assert not LogEntry.objects.exists()


def test_a_queue_is_purged_when_the_word_was_typed(page: Client) -> None:
    sent = note.bulk([(1,), (2,)])

    asked = post(page, "purge", "default", confirmed="1")
    assert 'name="word"' in asked
    assert QueuedMessage.objects.count() == 2

    html = post(page, "purge", "default", confirmed="1", word="purge")
    assert "2 messages were thrown away and their tasks ended." in html
    assert {result.state for result in sent} == {"REVOKED"}


def test_one_click_does_not_purge_for_ever(page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_tasks.admin.queue_deeds.MOST", 2)
    monkeypatch.setattr("django_tasks.dispatch.purging.BATCH", 2)
    note.bulk([(1,), (2,), (3,)])

    assert "the rest is still there" in post(page, "purge", "default", confirmed="1", word="purge")
    assert QueuedMessage.objects.count() == 1


def test_of_several_queues_no_rest_is_told_of_that_is_in_none_of_them(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_tasks.admin.queue_deeds.MOST", 2)
    note.delay(1)
    note.apply_async((2,), queue="other")

    html = post(page, "purge", "default", "other", confirmed="1", word="purge")

    assert "2 messages were thrown away" in html
    assert "the rest is still there" not in html


def test_of_a_broker_that_empties_a_queue_at_once_no_rest_is_told(
    page: Client, monkeypatch: pytest.MonkeyPatch, use_broker: Callable[[str], None]
) -> None:
    monkeypatch.setattr("django_tasks.admin.queue_deeds.MOST", 2)
    use_broker("memory://")
    note_untracked.bulk([(1,), (2,), (3,)])
    QueuedMessage.objects.all().make_ready()
    broker().relay()

    html = post(page, "purge", "default", confirmed="1", word="purge")

    assert "3 messages were thrown away" in html
    assert "the rest is still there" not in html


def test_what_waits_is_moved_to_a_declared_queue(page: Client) -> None:
    sent = note.delay(1)

    wrong = post(page, "move", "default", confirmed="1", to="no.such")
    html = post(page, "move", "default", confirmed="1", to="other")

    assert "Please correct" in wrong
    assert "1 message waits in other now." in html
    assert TaskResult.objects.get(id=sent.id).queue == QueuedMessage.objects.get().queue == "other"


def test_a_queue_is_not_moved_to_itself(page: Client) -> None:
    assert "cannot be moved to itself" in post(page, "move", "other", confirmed="1", to="other")


def test_what_was_set_aside_is_replayed_or_discarded_from_the_queues_page(
    page: Client, make_message: Any
) -> None:
    first, second = make_message(state="aside"), make_message(state="aside")
    url = "admin:django_tasks_queuedmessage_action"

    page.post(reverse(url, args=["replay"]), {"row": first.pk})
    page.post(reverse(url, args=["discard"]), {"row": second.pk})
    assert QueuedMessage.objects.aside().get() == second
    page.post(reverse(url, args=["discard"]), {"row": second.pk, "confirmed": "1"})

    assert QueuedMessage.objects.get() == first


def test_a_message_has_the_buttons_on_its_own_page_if_it_was_set_aside(
    page: Client, make_message: Any
) -> None:
    for state, buttons in (("aside", 2), ("ready", 0)):
        html = page.get(
            reverse("admin:django_tasks_queuedmessage_change", args=[make_message(state=state).pk])
        )
        assert html.text.count("formaction") == buttons


def test_many_messages_are_discarded_from_djangos_list_once_it_is_confirmed(
    page: Client, make_message: Any
) -> None:
    rows = [make_message(state="aside") for _ in range(3)]
    chosen = {"action": "discard", "_selected_action": [row.pk for row in rows]}
    url = reverse("admin:django_tasks_queuedmessage_changelist")

    asked = page.post(url, chosen).text
    assert QueuedMessage.objects.count() == 3
    assert "This is about 3:" in asked
    page.post(url, {**chosen, "confirmed": "1"})

    assert not QueuedMessage.objects.exists()


PAYLOAD = json.dumps(
    {
        "body": json.dumps([["open sesame"], {"password": "hunter2", "amount": 5}, {}]),
        "content-type": "application/json",
        "headers": {"task": "shop.tasks.pay", "argsrepr": "('open sesame',)", "api_key": "hunter3"},
        "properties": {"delivery_info": {}},
    }
)


def test_the_copy_of_a_message_is_without_secrets_and_for_who_may_see_payloads(
    client: Client, make_message: Any
) -> None:
    path = reverse("admin:django_tasks_queuedmessage_change", args=[make_message(payload=PAYLOAD).pk])
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    shown = []
    for codenames in (["view_queuedmessage"], ["view_queuedmessage", "view_payload"]):
        clerk.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        shown.append(client.get(path).text)

    assert "amount" not in shown[0]
    assert "&quot;amount&quot;: 5" in shown[1]
    for secret in ("hunter2", "hunter3", "sesame"):
        assert secret not in "".join(shown)


def test_of_a_message_that_cannot_be_read_nothing_is_shown_but_its_size(
    page: Client, make_message: Any
) -> None:
    path = reverse("admin:django_tasks_queuedmessage_change", args=[make_message(payload="hunter2 }").pk])

    assert "hunter2" not in page.get(path).text
    assert "it has 9 characters" in page.get(path).text
