"""The page of the workers, and that of one: what they show, and what their buttons do to real workers."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_tasks import clock
from django_tasks.admin import TaskResultAdmin, worker_pages
from django_tasks.models import TaskResult, Worker, WorkerCommand
from django_tasks.version import __version__
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, note
from tests.workers import Start, eventually, status

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

WORKERS = reverse("admin:django_tasks_workers")
INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|<[^>]+\son\w+=|javascript:", re.IGNORECASE)


def of(worker: Worker) -> str:
    return reverse("admin:django_tasks_worker_change", args=[worker.pk])


def post(client: Client, name: str, key: str, **more: str) -> str:
    place = "workers" if name == "kill" else "worker"
    url = reverse(f"admin:django_tasks_{place}_action", args=[name])
    return client.post(url, {"row": key, **more}, follow=True).text


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def table(page: Client) -> str:
    return text(page.get(WORKERS, {"_fragment": "workers"}).text)


def ago(**span: float) -> dt.datetime:
    return clock.to_storage(clock.now() - dt.timedelta(**span))


def test_a_worker_is_shown_with_what_it_runs_and_how_large_it_is(
    page: Client, make_worker: Any, make_task: Any
) -> None:
    worker = make_worker(busy=1, memory=223 * 2**20, renewed_at=ago(seconds=4), version=__version__)
    for minutes in (1, 9):
        make_task(claimed_by=f"{worker.pk}.7", started_at=ago(minutes=minutes))
    make_task(claimed_by=f"{worker.pk}.7", task="shop.tasks.claimed_only")
    make_task(claimed_by="another.1", started_at=ago(minutes=5), task="shop.tasks.elsewhere")

    shown = table(page)

    assert "worker@web-1 pid 4121 ● online default, mail" in shown
    assert "9 min 00 s shop.tasks.pay 1 min 00 s shop.tasks.pay 2/8 223.0 MB 4 s ago Drain Stop" in shown
    assert "elsewhere" not in shown
    assert "claimed_only" not in shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"ending_at": "now"}, "draining"),
        ({"trouble": "The broker cannot be reached."}, "in trouble The broker cannot be reached."),
        ({"version": "0.0.0"}, "version 0.0.0"),
        ({"lost_at": "now", "recovered": 3}, "lost tasks recovered: 3"),
    ],
)
def test_what_is_the_matter_with_a_worker_stands_beside_it(
    page: Client, make_worker: Any, values: dict[str, Any], shown: str
) -> None:
    now = clock.to_storage(clock.now())
    given = {name: now if value == "now" else value for name, value in values.items()}
    worker = make_worker(**{"version": __version__, **given})

    assert shown in table(page)
    assert shown.split(" tasks")[0] in text(page.get(of(worker)).text)


def test_a_lost_worker_has_no_buttons_and_stands_behind_the_living(page: Client, make_worker: Any) -> None:
    make_worker(id="1", name="a@lost", lease_until=ago(minutes=5))
    make_worker(id="2", name="b@there")

    shown = table(page)

    assert shown.index("b@there") < shown.index("a@lost")
    assert shown.count("Stop") == 1


def test_with_no_worker_it_says_how_to_start_one(page: Client) -> None:
    assert "python manage.py runworker" in page.get(WORKERS).text


def test_the_list_of_rows_is_the_same_page(page: Client, make_worker: Any) -> None:
    make_worker()

    assert (
        page.get(reverse("admin:django_tasks_worker_changelist")).context["lines"][0].row.name
        == "worker@web-1"
    )


def test_hostile_names_are_text(page: Client, make_worker: Any, make_task: Any) -> None:
    hostile = "<script>alert(1)</script>"
    worker = make_worker(
        name=hostile, hostname=hostile, queues=hostile, trouble=hostile, version=hostile[:50]
    )
    make_task(claimed_by=f"{worker.pk}.1", started_at=ago(minutes=1), task=hostile, queue=hostile)

    for path in (WORKERS, of(worker)):
        html = page.get(path).text
        assert hostile not in html
        assert INLINE.findall(html) == []


def test_the_workers_take_two_queries_besides_the_user(
    page: Client, make_worker: Any, make_task: Any, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        make_worker(id=str(number))
        make_task(claimed_by=f"{number}.1", started_at=ago(minutes=1))
    page.get(WORKERS)

    with django_assert_num_queries(3):
        page.get(WORKERS)


def test_the_page_of_a_worker_has_its_own_tasks_however_many_others_run(
    page: Client, make_worker: Any, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pages, "MOST_RUNNING", 2)
    worker = make_worker(id="w_1")
    for number in range(3):
        make_task(claimed_by=f"wx1.{number}", started_at=ago(minutes=9), task="shop.tasks.elsewhere")
    make_task(claimed_by="w_1.1", started_at=ago(minutes=1), task="shop.tasks.here")

    html = page.get(of(worker)).text

    assert "shop.tasks.here" in html
    assert "elsewhere" not in html


def test_a_worker_that_there_is_not_is_not_found(page: Client) -> None:
    assert page.get(reverse("admin:django_tasks_worker_change", args=["gone"])).status_code == 404


def test_who_may_only_look_has_no_buttons(client: Client, make_worker: Any, make_task: Any) -> None:
    worker = make_worker()
    make_task(claimed_by=f"{worker.pk}.1", started_at=ago(minutes=1))
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_worker"))
    client.force_login(clerk)

    assert "formaction" not in client.get(WORKERS).text + client.get(of(worker)).text


# -- what the buttons do


def test_to_stop_a_worker_is_confirmed_and_to_drain_it_is_not(page: Client, make_worker: Any) -> None:
    worker = make_worker()

    post(page, "stop", worker.pk)
    assert not WorkerCommand.objects.exists()
    post(page, "drain", worker.pk)
    post(page, "stop", worker.pk, confirmed="1")

    assert list(WorkerCommand.objects.order_by("id").values_list("worker_id", "method")) == [
        (worker.pk, "drain"),
        (worker.pk, "shutdown"),
    ]
    assert [entry.object_id for entry in LogEntry.objects.all()] == [worker.pk, worker.pk]


def test_a_worker_that_is_lost_cannot_be_asked(page: Client, make_worker: Any) -> None:
    worker = make_worker(lease_until=ago(minutes=1))

    assert "the lease is over" in post(page, "drain", worker.pk)
    assert not WorkerCommand.objects.exists()


def test_a_task_that_has_ended_is_not_killed(page: Client, make_task: Any) -> None:
    task = make_task(status="SUCCESS")

    assert "It has ended meanwhile." in post(page, "kill", task.pk, confirmed="1")
    assert not LogEntry.objects.exists()


def test_who_sees_only_some_tasks_kills_no_other(
    page: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task()
    seen = TaskResultAdmin.get_queryset
    monkeypatch.setattr(
        TaskResultAdmin, "get_queryset", lambda self, request: seen(self, request).exclude(id=task.pk)
    )

    html = post(page, "kill", task.pk, confirmed="1")

    assert "Nothing was chosen." in html
    assert not TaskResult.objects.get().terminate


@pytest.fixture
def boss(transactional_db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def begins(id: str) -> None:
    eventually(lambda: Entry.objects.filter(task_id=id).exists(), "the body runs")
    eventually(lambda: TaskResult.objects.running().filter(id=id).exists(), "it is written down")


@pytest.mark.worker
def test_a_running_task_is_shown_and_killed_while_its_worker_goes_on(
    boss: Client, start_worker: Start, tmp_path: Path
) -> None:
    sent = hold.delay(str(tmp_path / "gate"))
    start_worker("--processes=1")
    begins(sent.id)
    note.delay(1)  # a claim is written with whatever is written next
    worker = Worker.objects.get()

    assert hold.name in text(boss.get(of(worker)).text)
    post(boss, "kill", sent.id, confirmed="1")

    eventually(lambda: status(sent.id) == "REVOKED", "it is stopped")
    later = note.delay(2)
    eventually(lambda: status(later.id) == "SUCCESS", "the worker goes on")
    assert LogEntry.objects.get().object_id == sent.id


@pytest.mark.worker
@pytest.mark.parametrize("deed", ["drain", "stop"])
def test_a_worker_is_asked_to_end_by_a_button(
    boss: Client, start_worker: Start, tmp_path: Path, deed: str
) -> None:
    gate = tmp_path / "gate"
    sent = hold.delay(str(gate))
    worker = start_worker("--processes=1")
    begins(sent.id)

    post(boss, deed, Worker.objects.get().pk, confirmed="1")

    eventually(lambda: "draining" in table(boss), "it says so")
    gate.touch()
    assert worker.wait() == 0
    assert status(sent.id) == "SUCCESS"


@pytest.mark.worker
def test_a_queue_is_paused_and_resumed_by_buttons(boss: Client, start_worker: Start) -> None:
    worker = start_worker("--processes=1")
    url = "admin:django_tasks_queues_action"
    boss.post(reverse(url, args=["pause"]), {"row": "default", "confirmed": "1", "reason": "repairs"})
    eventually(lambda: "Queue default is paused" in worker.output, "it is heard")
    waiting = note.delay(1)

    boss.post(reverse(url, args=["resume"]), {"row": "default"})

    eventually(lambda: status(waiting.id) == "SUCCESS", "it is served again")
