"""The lists of stored messages and of workers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.test import Client
from django.urls import reverse

from django_tasks import clock

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

MESSAGES = reverse("admin:django_tasks_queuedmessage_changelist")
WORKERS = reverse("admin:django_tasks_worker_changelist")


def listed(page: Client, path: str, **query: str) -> list[Any]:
    return [row.pk for row in page.get(path, query).context["cl"].result_list]


def test_messages_that_were_set_aside_come_first_with_the_reason(page: Client, make_message: Any) -> None:
    ready = make_message()
    aside = make_message(state="aside", reason="No task is named 'x'.")

    assert listed(page, MESSAGES) == [aside.pk, ready.pk]
    assert "No task is named &#x27;x&#x27;." in page.get(MESSAGES).text


def test_ready_messages_are_listed_as_they_will_be_served(page: Client, make_message: Any) -> None:
    now = clock.now()
    later = make_message(sent_at=clock.to_storage(now))
    sooner = make_message(sent_at=clock.to_storage(now - dt.timedelta(minutes=1)))
    less_urgent = make_message(sent_at=clock.to_storage(now - dt.timedelta(minutes=9)), priority=5)

    assert listed(page, MESSAGES) == [sooner.pk, later.pk, less_urgent.pk]


def test_a_parked_message_says_when_it_is_due(page: Client, make_message: Any) -> None:
    make_message(state="parked", deliver_at=clock.to_storage(clock.now() + dt.timedelta(hours=2, minutes=1)))

    assert "in 2 h" in page.get(MESSAGES).text


def test_messages_can_be_filtered_by_state_and_queue(page: Client, make_message: Any) -> None:
    make_message()
    make_message(state="aside")
    wanted = make_message(state="aside", queue="other")

    assert listed(page, MESSAGES, state="aside", queue="other") == [wanted.pk]


def test_a_worker_whose_lease_runs_is_online(page: Client, make_worker: Any) -> None:
    make_worker()

    html = page.get(WORKERS).text

    for shown in ("worker@web-1", "online", "pid 4121", "default, mail", "0/8"):
        assert shown in html
    assert "✖" not in html


def test_a_worker_that_cannot_receive_says_why(page: Client, make_worker: Any) -> None:
    make_worker(trouble="The broker cannot be reached (4 of 4 processes).")

    html = page.get(WORKERS).text

    assert "in trouble" in html
    assert "The broker cannot be reached (4 of 4 processes)." in html
    assert "online" not in html


def test_a_worker_that_let_its_lease_pass_is_lost(page: Client, make_worker: Any) -> None:
    since = clock.to_storage(clock.now() - dt.timedelta(minutes=5))
    make_worker(lease_until=since, renewed_at=since)

    html = page.get(WORKERS).text

    assert "lost" in html
    assert "5 min ago" in html
    assert "online" not in html


def test_a_worker_that_was_given_up_is_lost_whatever_its_lease_says(page: Client, make_worker: Any) -> None:
    make_worker(lost_at=clock.to_storage(clock.now()))

    assert "lost" in page.get(WORKERS).text


def test_these_lists_take_two_queries_besides_the_user(
    page: Client, make_message: Any, make_worker: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(3):
        make_message(state="aside", reason="x")
        make_worker(id=str(number))
    page.get(WORKERS)

    for path in (MESSAGES, WORKERS):
        with django_assert_num_queries(3):
            page.get(path)
