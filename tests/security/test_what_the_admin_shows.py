"""The admin after a real worker had hostile texts and secrets: what is shown is text, and no secret is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_tasks import chord, clock
from django_tasks.models import QueuedMessage, TaskGroup, TaskResult, Worker
from tests.hostile import Hostile, send
from tests.ledger.tasks import echo, fail
from tests.security.attacked_settings import DJANGO_TASKS
from tests.security.attacked_tasks import log_in, log_in_and_fail, report
from tests.workers import RunningWorker, Start, eventually

pytestmark = pytest.mark.worker
RunBurst = Callable[..., RunningWorker]
ATTACKED = {"DJANGO_SETTINGS_MODULE": "tests.security.attacked_settings"}
SCRIPT = "<script>alert(1)</script>"
MODELS = (TaskResult, QueuedMessage, TaskGroup, Worker)


@pytest.fixture
def page(settings: Any, transactional_db: None) -> Client:
    settings.DJANGO_TASKS = DJANGO_TASKS
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def path(of: Any) -> str:
    """Of the list of a model, or of a row's page."""
    name = f"admin:django_tasks_{of._meta.model_name}"
    return (
        reverse(f"{name}_changelist")
        if isinstance(of, type)
        else reverse(f"{name}_change", args=[quote(of.pk)])
    )


def pages(client: Client) -> Iterator[str]:
    for model in MODELS:
        for of in (model, *model._default_manager.all()):
            yield client.get(path(of)).text


def put(body: object, **headers: Any) -> None:
    hostile = Hostile(name="x", body=json.dumps(body).encode(), headers=headers)
    with kombu.Connection("django://") as stranger:
        send(kombu.Producer(stranger.channel()), hostile, queue="default", id=f"{SCRIPT} {len(headers)}")


def test_a_script_in_whatever_a_stranger_sends_is_text_on_every_page(
    page: Client, run_burst: RunBurst
) -> None:
    shown = ("argsrepr", "kwargsrepr", "shadow", "origin", "group", "parent_id", "root_id")
    put([[SCRIPT], {}, {}], task=echo.name, **dict.fromkeys(shown, SCRIPT))
    put([[SCRIPT], {}, {}], task=f"no.such.{SCRIPT}")
    put([SCRIPT, {}, {}], task=echo.name, x=SCRIPT, y=1)
    fail.delay(SCRIPT)
    chord([echo.s(SCRIPT)], echo.s(key=SCRIPT)).delay()

    run_burst("--processes=1", f"--name={SCRIPT}", **ATTACKED)

    html = list(pages(page))
    assert QueuedMessage.objects.aside().count() == 2
    assert TaskResult.objects.filter(worker__contains=SCRIPT).exists()
    assert TaskResult.objects.filter(traceback__contains=SCRIPT).exists()
    assert not any("<script>alert" in one for one in html)
    assert sum("&lt;script&gt;alert(1)" in one for one in html) > len(MODELS)


def test_a_script_in_the_progress_of_a_task_is_text(
    page: Client, start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    report.delay(SCRIPT, str(gate))
    start_worker("--processes=1", **ATTACKED)

    row = eventually(
        lambda: TaskResult.objects.filter(status=SCRIPT, result__contains=SCRIPT).first(), "progress"
    )
    shown = [page.get(path(row)).text, page.get(path(TaskResult)).text]
    gate.touch()

    assert not any("<script>alert" in html for html in shown)
    assert all("&lt;script&gt;alert(1)" in html for html in shown)


def test_secrets_among_arguments_and_results_are_on_no_page_and_in_no_log(
    page: Client, run_burst: RunBurst
) -> None:
    log_in.delay("ada", password="hunter2", pin=4711)
    log_in_and_fail.delay("ada", password="hunter2")
    log_in.apply_async(("bob",), {"password": "hunter2", "pin": 4711}, countdown=3600)

    worker = run_burst("--processes=1", "--loglevel=debug", **ATTACKED)

    shown = [*pages(page), worker.output]
    assert "'ada'" in "".join(shown)
    for secret in ("hunter2", "4711"):
        assert not any(secret in text for text in shown)


def test_a_form_of_another_site_replays_nothing(page: Client) -> None:
    now = clock.to_storage(clock.now())
    row = QueuedMessage.objects.create(queue="default", payload="{}", state="aside", sent_at=now)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get())

    answer = strict.post(path(QueuedMessage), {"action": "replay", "_selected_action": row.pk})

    row.refresh_from_db()
    assert (answer.status_code, row.state) == (403, "aside")
