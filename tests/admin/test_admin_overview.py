"""The overview: what it shows, to whom, and at what cost."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_tasks import clock, states
from django_tasks.admin.overview import OverviewPage
from django_tasks.models import FailureGroup, FailureHour, QueuePause
from django_tasks.models.failure import hour_of
from django_tasks.worker.rollups import Rollups

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.usefixtures("steady_statements")

OVERVIEW = reverse("admin:django_tasks_overview")
TASKS = reverse("admin:django_tasks_taskresult_changelist")
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|javascript:", re.IGNORECASE)
KIND = "0123456789abcdef"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def _two_queues(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": ["default", "mail"]}


@pytest.fixture
def busy_site(make_task: Any, make_message: Any, make_worker: Any) -> None:
    """Two tasks ended, one of them is counted; others wait, run and are due."""
    worker = make_worker()
    make_message(sent_at=ago(7230))
    make_message(state="parked", deliver_at=ago(-60))
    make_task(status=states.STARTED, claimed_by=f"{worker.id}.1", started_at=ago(1))
    make_task(**ended(100))
    Rollups().turn()
    make_task(**ended(1, status=states.FAILURE, task="shop.tasks.ship"))


def ago(seconds: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(seconds=seconds))


def ended(seconds: float, **values: Any) -> dict[str, Any]:
    times = {"created_at": ago(seconds + 3), "started_at": ago(seconds + 2), "finished_at": ago(seconds)}
    return {"status": states.SUCCESS, **times, **values}


def tiles(html: str) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]+)</dt>\s*<dd>(?:<a [^>]*>)?([^<]+)", html)
    return dict(found)


def clerk(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_an_empty_site_is_told_what_to_do(page: Client) -> None:
    html = page.get(OVERVIEW).text

    assert "manage.py runworker" in html
    assert tiles(html)["Queued"] == "0"


def test_the_tiles_tell_how_all_of_it_is(page: Client, busy_site: None) -> None:
    html = page.get(OVERVIEW).text

    assert tiles(html) == {
        "Queued": "1",
        "Running": "1",
        "Scheduled": "1",
        "Retrying": "0",
        "Failed (24 h)": "1",
        "Succeeded (24 h)": "1",
        "Oldest waiting": "2 h 00 min · default",
        "Workers": "1 online",
    }


def test_a_tile_leads_to_what_it_counts(page: Client, busy_site: None) -> None:
    html = page.get(OVERVIEW).text

    links = re.findall(r'<dd><a href="([^"]+)">', html)
    assert len(links) == 8
    assert f"{TASKS}?status=FAILURE" in links
    assert all(page.get(link.replace("&amp;", "&")).status_code == 200 for link in links)


def test_what_should_be_looked_at_stands_above_all(page: Client, busy_site: None) -> None:
    html = page.get(OVERVIEW).text

    assert html.index("has waited for 2 h") < html.index("<dt>Queued")


def part(page: Client, name: str) -> str:
    return page.get(OVERVIEW, {"_fragment": name}).text


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def fails(**values: Any) -> FailureGroup:
    given = {
        "fingerprint": KIND,
        "task": "shop.tasks.ship",
        "error_type": "ConnectionError",
        "sample": "no route",
        "first_seen": ago(90_000),
        "last_seen": ago(60),
    }
    group = FailureGroup.objects.create(**{**given, **values})
    FailureHour.objects.create(fingerprint=group.pk, hour=hour_of(ago(0)), count=412)
    return group


def test_a_queue_has_a_line_with_its_buttons_and_leads_to_its_page(page: Client, busy_site: None) -> None:
    QueuePause.objects.create(queue="mail", reason="it moves", paused_at=ago(10), until=ago(-60))

    html = part(page, "queues")

    assert text(html).count("paused") == 1
    assert "it moves" in html
    assert reverse("admin:django_tasks_queue", args=["mail"]) in html
    for deed, queue in (("pause", "default"), ("resume", "mail")):
        url = reverse("admin:django_tasks_queues_action", args=[deed])
        assert f'formaction="{url}" name="row" value="{queue}"' in html


def test_a_pause_that_is_over_is_none(page: Client, busy_site: None) -> None:
    QueuePause.objects.create(queue="mail", paused_at=ago(100), until=ago(10))

    assert "paused" not in part(page, "queues")


def test_failures_have_a_line_for_each_kind_and_are_all_retried_there(page: Client, db: None) -> None:
    fails()
    fails(fingerprint="f" * 16, error_type="LongAgo", last_seen=ago(90_000))

    html = part(page, "failures")

    assert "ConnectionError: no route shop.tasks.ship 412" in text(html)
    assert "LongAgo" not in html
    assert f"{TASKS}?fingerprint={KIND}" in html
    retry = reverse("admin:django_tasks_failures_action", args=["retry"])
    assert f'formaction="{retry}" name="row" value="{KIND}"' in html
    assert reverse("admin:django_tasks_failures") in html


def test_a_worker_has_a_line_with_what_it_runs_and_leads_to_its_page(
    page: Client, make_worker: Any, make_task: Any
) -> None:
    worker = make_worker(memory=212 * 2**20, renewed_at=ago(1), ending_at=ago(5))
    for _number in range(5):
        make_task(claimed_by=f"{worker.id}.1", started_at=ago(1))

    html = part(page, "workers")

    assert reverse("admin:django_tasks_worker_change", args=[worker.id]) in html
    for told in ("draining", "5 \N{MULTIPLICATION SIGN} shop.tasks.pay", "5/8", "212.0", "s ago"):
        assert told in text(html)


@pytest.mark.parametrize(("key", "bars"), [("1h", 60), ("24h", 24), ("7d", 168), ("nonsense", 60)])
def test_throughput_is_shown_for_an_hour_a_day_or_a_week(
    page: Client, busy_site: None, key: str, bars: int
) -> None:
    html = page.get(OVERVIEW, {"period": key, "_fragment": "throughput"}).text

    assert html.count("<g>") == bars
    assert html.count("tasks-fill-bad") == 1


def test_who_may_not_see_messages_or_workers_does_not(client: Client, busy_site: None) -> None:
    html = clerk(client, "view_taskresult").get(OVERVIEW).text

    assert "worker@web-1" not in html
    assert reverse("admin:django_tasks_queuedmessage_changelist") not in html
    assert "Failed (24 h)" in html


def test_who_may_not_see_tasks_sees_nothing(client: Client, db: None) -> None:
    assert clerk(client, "view_worker").get(OVERVIEW).status_code == 403


@pytest.mark.parametrize("name", OverviewPage.fragments)
def test_each_part_can_be_asked_for_by_itself(page: Client, busy_site: None, name: str) -> None:
    answer = page.get(OVERVIEW, {"_fragment": name})

    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert answer.text.strip()


def test_nothing_on_it_needs_a_style_or_a_script(page: Client, busy_site: None) -> None:
    (content,) = re.findall(r'<div id="content-main".*', page.get(OVERVIEW).text, re.DOTALL)

    assert not INLINE.search(content)


def test_names_are_escaped_wherever_they_stand(
    page: Client, make_task: Any, make_worker: Any, db: None
) -> None:
    make_task(**ended(1, status=states.FAILURE, task=HOSTILE, queue=HOSTILE))
    make_worker(name=HOSTILE, trouble=HOSTILE, queues=HOSTILE)
    QueuePause.objects.create(queue=HOSTILE, reason=HOSTILE, paused_at=ago(90_000))
    fails(task=HOSTILE, error_type=HOSTILE, sample=HOSTILE)

    assert HOSTILE not in page.get(OVERVIEW).text


@pytest.mark.parametrize("number", [1, 25])
def test_what_it_costs_does_not_depend_on_what_there_is(
    page: Client, make_task: Any, make_message: Any, make_worker: Any, number: int
) -> None:
    # Given
    for index in range(number):
        make_worker(id=f"{index:032}", name=f"worker-{index}@web")
        make_message()
        make_task(**ended(100 + index, task=f"task {index}", status=states.FAILURE))
        fails(fingerprint=f"{index:016x}")
    Rollups().turn()
    page.get(OVERVIEW)

    # When
    with CaptureQueriesContext(connection) as asked:
        page.get(OVERVIEW)

    # Then: one of them is the user.
    ours = [query["sql"] for query in asked if "django_tasks" in query["sql"]]
    assert len(ours) == 8, ours
