"""The examples of the guides to Celery, in a real worker; tests/features has those that need none."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from django_tasks import GroupResult, group
from django_tasks.exceptions import TaskRevokedError
from django_tasks.models import TaskResult
from tests.features import guide_tasks as guide
from tests.features import pages_in_a_chain as in_a_chain
from tests.features import pages_waited_for as waited_for
from tests.features import pages_with_callbacks as with_callbacks
from tests.ledger.models import Article
from tests.workers import RunningWorker, Start

pytestmark = pytest.mark.worker
Worker = Callable[..., RunningWorker]


@pytest.fixture
def worker(start_worker: Start) -> Worker:
    def start(*arguments: str) -> RunningWorker:
        return start_worker(
            "--processes=1", *arguments, DJANGO_SETTINGS_MODULE="tests.features.guide_settings"
        )

    return start


def test_exm_01_create_user(worker: Worker) -> None:
    """The password is not shown, but arrives."""
    sent = guide.create_user.delay("ada", "secret")

    worker("--burst").wait()

    assert sent.get(timeout=30) is None
    assert User.objects.get(username="ada").password == "secret"
    assert "secret" not in TaskResult.objects.get(id=sent.id).args


def test_exm_02_exm_08_exm_12_what_tasks_print_is_in_the_log(worker: Worker) -> None:
    failed = guide.add_and_fail.delay(2, 2)
    dumped = guide.dump_context.delay(2, y=3)
    aloud = guide.add_aloud.delay(2, 3)
    told = guide.add_and_tell.delay(2, 2)
    burst = worker("--burst")

    burst.wait()

    assert isinstance(failed.get(propagate=False), KeyError)
    assert told.get() == 4
    for line in (
        f"{failed.id!r} failed: KeyError()",
        f"Executing task id {dumped.id}, args: (2,) kwargs: {{'y': 3}}",
        f"Executing task id {aloud.id!r}, args: (2, 3) kwargs: {{}}",
        f"Task returned: <Context: {guide.add_and_tell.name}[{told.id}]>",
    ):
        assert line in burst.output


def test_exm_04_can_05_a_page_is_stored_by_a_chain(worker: Worker) -> None:
    """CAN-04, CAN-05, CAN-06."""
    sent = in_a_chain.update_page_info("https://example.com/")

    worker("--burst").wait()

    stored = Article.objects.get()
    assert (stored.title, stored.body) == ("https://example.com/",) * 2
    assert sent.parent.get(timeout=0) == {"title": "https://example.com/"}
    assert sent.parent.parent.get(timeout=0) == "<title>https://example.com/</title>"


def test_exm_05_can_15_a_task_that_waits_for_another_is_told_not_to(worker: Worker) -> None:
    """EXM-05, "bad": it fails rather than waits for ever, and the task it sent is run."""
    sent = waited_for.update_page_info.delay("https://example.com/")

    worker("--burst").wait()

    with pytest.raises(RuntimeError, match=r"Never call result\.get"):
        sent.get(timeout=0)
    assert [child.get(timeout=0) for child in sent.children] == ["<title>https://example.com/</title>"]
    assert not Article.objects.exists()


def test_exm_05_can_03_a_page_is_stored_by_callbacks(worker: Worker) -> None:
    """EXM-05, "good", CAN-02: subtasks are arguments, and are subtasks again where they arrive."""
    with_callbacks.update_page_info.delay("https://example.com/")

    worker("--burst").wait()

    stored = Article.objects.get()
    assert (stored.title, stored.body) == ("https://example.com/",) * 2


def test_exm_09_exe_07_can_12_can_13_links_are_called_with_the_result(worker: Worker) -> None:
    """EXM-09, one link and a list of them."""
    one = guide.add.apply_async((2, 2), link=guide.add.s(16))
    two = guide.add.apply_async((2, 2), link=[guide.add.s(16), guide.other_task.s()])

    worker("--burst").wait()

    assert one.get(timeout=0) == two.get(timeout=0) == 4
    assert one.children[0].get(timeout=0) == 20
    assert [child.get(timeout=0) for child in two.children] == [20, "other 4"]


def test_exm_10_exe_08_exe_09_an_error_handler_asks_for_the_failure(worker: Worker) -> None:
    """EXM-10, D-GETINTASK: what is ready may be asked for in a task."""
    failed = guide.respond.apply_async(("good",), link_error=guide.error_handler.s())
    succeeded = guide.add.apply_async((2, 2), link_error=guide.error_handler.s())
    burst = worker("--burst")

    burst.wait()

    assert f"Task {failed.id} raised exception: HttpError(404)\n" in burst.output
    assert repr(failed.traceback) in burst.output
    assert f"Task {succeeded.id}" not in burst.output


def test_exm_11_can_08_can_09_a_group_of_numbers(worker: Worker) -> None:
    """EXM-11."""
    numbers = [(2, 2), (4, 4), (8, 8), (16, 16)]
    res = group(guide.add.s(i, j) for i, j in numbers).apply_async()

    worker("--burst").wait()

    assert res.get(timeout=0) == [4, 8, 16, 32]
    assert (res.ready(), res.successful(), res.failed(), res.completed_count()) == (True, True, False, 4)
    res.save()
    restored = GroupResult.restore(res.id)
    assert restored is not None
    assert [member.get(timeout=0) for member in restored.children] == [4, 8, 16, 32]


def test_exm_12_cls_04_cls_05_cls_06_what_a_task_keeps_stays_in_its_process(worker: Worker) -> None:
    """CLS-04: one instance for all runs; CLS-05: its state; CLS-06: its connection."""
    server = guide.NaiveAuthenticateServer()
    checks = [server.delay("george", word) for word in ("password", "wrong")]
    counts = [guide.count_up.delay() for _ in range(20)]
    rows = [guide.process_rows.delay() for _ in range(5)]

    worker("--burst").wait()

    assert [sent.get(timeout=30) for sent in checks] == [True, False]
    assert sorted(count for _, count in (sent.get() for sent in counts)) == list(range(1, 21))
    assert {sent.get()[1] for sent in rows} == {1}
    assert len({sent.get()[0] for sent in (*counts, *rows)}) == 1


def test_exm_14_tx_03_the_worker_always_finds_the_article(worker: Worker) -> None:
    """TX-03: the worker runs while they are made, each in a transaction that takes its time."""
    running = worker()
    sent = []
    for number in range(20):
        with transaction.atomic():
            sent.append(guide.create_article({"title": str(number), "body": "MyCorp"}))
            time.sleep(0.005)  # the transaction's time, in which a task sent too early would run

    for result in sent:
        result.get(timeout=30)

    assert set(Article.objects.values_list("body", flat=True)) == {"My Corporation"}
    running.terminate()


def test_exm_16_exe_01_after_a_countdown_of_three_it_takes_three_seconds(worker: Worker) -> None:
    """EXE-01, WRK-06: never early."""
    worker()
    began = time.monotonic()

    result = guide.add.apply_async((2, 2), countdown=3)

    assert result.get(timeout=30) == 4
    assert time.monotonic() - began >= 3


def test_exe_05_exe_06_what_expired_before_it_was_due_is_revoked(worker: Worker) -> None:
    """EXE-05, EXE-06, STA-06."""
    worker()

    result = guide.add.apply_async((2, 2), countdown=0.5, expires=0.2)

    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=30)
    assert result.state == "REVOKED"


def test_exm_17_exc_01_exc_02_exceptions_cross_from_the_worker(worker: Worker) -> None:
    """EXC-01, EXC-02."""
    kinds = {
        "bare": guide.BareHttpError,
        "bad": guide.BadHttpError,
        "good": guide.HttpError,
        "keywords": guide.HttpErrorWithKeywords,
    }
    sent = {how: guide.respond.delay(how) for how in kinds}

    worker("--burst").wait()

    errors = {how: result.get(timeout=30, propagate=False) for how, result in sent.items()}
    assert {how: type(error) for how, error in errors.items()} == kinds
    assert [errors[how].status_code for how in ("bad", "good", "keywords")] == [404] * 3
    assert all("respond" in (result.traceback or "") for result in sent.values())


def test_a_request_in_a_real_worker_knows_all_about_its_run(worker: Worker) -> None:
    """FEATURES REQ-01 to REQ-26.

    REQ-01 REQ-02 REQ-03 REQ-04 REQ-05 REQ-06 REQ-07 REQ-08 REQ-09 REQ-10 REQ-11 REQ-12 REQ-13 REQ-14 REQ-15 REQ-17
    REQ-18 REQ-19 REQ-20 REQ-21 REQ-22 REQ-23 REQ-24 REQ-25 REQ-26
    """
    sent = guide.show_request.apply_async(headers={"by": "me"}, queue="other", priority=3, expires=600)
    worker("--name=here", "--loglevel=info")

    known: dict[str, Any] = sent.get(timeout=30)

    assert {known[name] for name in ("id", "root_id", "correlation_id")} == {sent.id}
    assert known["hostname"].startswith("here@")
    assert known["origin"].startswith(f"gen{os.getpid()}@")
    assert (known["args"], known["kwargs"], known["retries"]) == ([], {}, 0)
    assert (known["is_eager"], known["called_directly"], known["utc"]) == (False, False, True)
    assert (known["headers"], known["loglevel"], known["logfile"]) == ({"by": "me"}, logging.INFO, None)
    assert known["expires"].endswith("+00:00")
    assert (known["delivery_info"]["routing_key"], known["delivery_info"]["priority"]) == ("other", 3)
    nothing = ("parent_id", "reply_to", "eta", "group", "taskset", "chord", "chain", "callbacks", "errbacks")
    assert [known[name] for name in nothing] == [None] * len(nothing)
