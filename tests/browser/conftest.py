"""A site with rows of every kind, served with a strict policy, and a browser whose user may do everything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer

from django_tasks import app, clock
from django_tasks.models import FailureTally, QueuedMessage, TaskGroup, TaskRollup, Worker
from django_tasks.models.ends import ALL_TASKS, Key, Span
from django_tasks.models.failure import Failures
from django_tasks.models.figures import Figures
from django_tasks.version import __version__

from . import shop
from .driver import DESK, Browser
from .shop import ago

POLICY = "tests.browser.policy.strict"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.quit()


@pytest.fixture
def site(transactional_db: None) -> Iterator[str]:
    """Where it is served. The middleware is loaded when its server starts."""
    with override_settings(MIDDLEWARE=[POLICY, *settings.MIDDLEWARE], DEBUG=False):
        server = LiveServer("127.0.0.1")
    yield server.url
    server.stop()


@pytest.fixture
def browser(site: str, chromium: Browser) -> Browser:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    chromium.look(is_dark=False, size=DESK)
    chromium.go(site + reverse("admin:login"))
    chromium.driver.delete_all_cookies()
    chromium.driver.add_cookie({"name": session.key, "value": session.value, "path": "/"})
    chromium.complaints()  # of the test before
    return chromium


@pytest.fixture
def rows(transactional_db: None, own_tasks: None) -> None:
    """Something of everything: as it is, as it goes wrong, and long."""
    _make_workers()
    _make_messages()
    shop.declare()
    shop.make_rows()
    _make_figures()
    _make_failures()
    TaskGroup.objects.create(id="group", total=20, pending=3, created_at=ago(hours=1))
    app.control.pause_queue("other", "The provider is down until tonight", by="ada")


def _make_workers() -> None:
    for number, (name, values) in enumerate(
        {
            "web-1": {"busy": 5},
            "web-2": {"busy": 2, "version": "0.0.1"},
            "batch-1": {"busy": 2, "ending_at": ago(minutes=4)},
            "batch-2": {"trouble": "The broker cannot be reached (4 of 4 processes)."},
            "old-1": {"lease_until": ago(hours=1), "lost_at": ago(minutes=50), "recovered": 3},
        }.items()
    ):
        given = {
            "id": chr(ord("a") + number) * 32, "name": f"worker@{name}", "hostname": name, "pid": 4121 + number,
            "queues": "default, other", "processes": 4, "threads": 2, "version": __version__, "memory": 223 << 20,
            "started_at": ago(hours=3), "renewed_at": ago(seconds=2), "lease_until": ago(hours=-1),
        }  # fmt: skip
        Worker.objects.create(**{**given, **values})


def _make_messages() -> None:
    rows = [
        QueuedMessage(queue="default", priority=number % 3, sent_at=ago(seconds=number), payload="{}")
        for number in range(40)
    ]
    reason = "No task is named 'shop.tasks.send_invoice_to_the_accountant_of_the_customer'. " * 4
    rows += [
        QueuedMessage(queue="default", state="aside", reason=reason, sent_at=ago(minutes=7), payload="{}")
        for _ in range(3)
    ]
    rows.append(
        QueuedMessage(
            queue="default", state="parked", deliver_at=ago(hours=-2), sent_at=ago(minutes=7), payload="{}"
        )
    )
    QueuedMessage.objects.bulk_create(rows)


def _make_figures() -> None:
    """As of a site that has been running for a week."""
    figures: dict[Key, Figures] = {}
    for span, number in ((Span.MINUTE, 60), (Span.HOUR, 7 * 24)):
        for back in range(number):
            start = span.start(clock.now() - back * dt.timedelta(seconds=span.value))
            scale = span.value // 60
            for place, task in enumerate((shop.INVOICE, shop.NEWSLETTER)):
                some = Figures(
                    succeeded=(60 + (back * 37 + place * 11) % 40) * scale, failed=(back % 7 == 3) * 9 * scale
                )
                for bucket in range(5, 15):
                    some.run_time.buckets[bucket] = some.ended // (2 + abs(bucket - 8 - place))
                    some.wait.buckets[bucket - 3] = some.run_time.buckets[bucket]
                    some.run_time.total += some.run_time.buckets[bucket] * 2**bucket * 1000
                figures[Key(span, start, task, "default")] = some
                figures.setdefault(Key(span, start, ALL_TASKS, "default"), Figures()).add(some)
    TaskRollup.objects.add(figures)


def _make_failures() -> None:
    samples = {
        shop.INVOICE: ("ConnectionError", "mail.example.com refused", 412),
        "webhooks.tasks.deliver": ("TimeLimitExceeded", "30 s", 37),
        "search.tasks.reindex_document": (
            "Document.DoesNotExist",
            "Document matching query does not exist.",
            9,
        ),
    }
    for hour in range(23, -1, -1):
        FailureTally.objects.insert(
            Failures(
                fingerprint=f"{number:016x}", task=task, error_type=error_type, sample=sample,
                first_at=ago(hours=hour, minutes=place + 20), last_at=ago(hours=hour, minutes=place),
                count=number // (2 + hour % 5 + hour // 3),
            )
            for place, (task, (error_type, sample, number)) in enumerate(samples.items(), start=1)
            if number > hour
        )  # fmt: skip
    FailureTally.objects.count_in()
