"""Which failures are mailed, and what the mail says (FEATURES MAIL-01 to MAIL-05, D-WHITELIST)."""

from __future__ import annotations

import logging
from typing import Any

import django
import pytest
from django.core import mail
from django.db import OperationalError
from django.test import override_settings

from django_tasks import Task, task
from django_tasks.exceptions import Ignore
from django_tasks.execution import mails
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Failed, Outcome, Request
from django_tasks.message.message import TaskMessage
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.tasks import mail_error

Written = list[tuple[str, str]]


class CardDeclined(Exception):
    pass


class CardExpired(CardDeclined):
    pass


@task(name="mails.quiet")
def quiet() -> None:
    raise ValueError("bang")


@task(name="mails.loud", send_error_emails=True)
def loud(*args: object, **kwargs: object) -> None:
    raise ValueError("bang\nand more")


@task(name="mails.never", send_error_emails=False)
def never() -> None:
    raise ValueError("bang")


@task(name="mails.expected", send_error_emails=True, throws=(ValueError,))
def expected() -> None:
    raise ValueError("as usual")


@task(name="mails.again", send_error_emails=True, bind=True, max_retries=1)
def again(self: Task[..., Any]) -> None:
    raise self.retry(exc=ValueError("busy"))


@task(name="mails.ignoring", send_error_emails=True)
def ignoring() -> None:
    raise Ignore


@task(name="mails.listing", send_error_emails=True, error_whitelist=[CardDeclined, "builtins.LookupError"])
def listing(error: str) -> None:
    raise {"card": CardExpired, "key": KeyError, "value": ValueError}[error]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Subjects and bodies of the mails that tasks are sent to send."""
    sent: Written = []

    def send(messages: list[TaskMessage]) -> None:
        assert all(message.task == "django_tasks.mail_error" for message in messages)
        sent.extend((subject, body) for subject, body in (message.args for message in messages))

    monkeypatch.setattr(mails, "send", send)
    return sent


def run(task: Task[..., Any], *args: object, **fields: Any) -> Outcome:
    """As a worker runs it."""
    message = TaskMessage(id="an-id", task=task.name, args=args, **fields)
    return execute(Request(message=message, worker="worker@host"))


def on(**settings: object) -> override_settings:
    return override_settings(DJANGO_TASKS={"SEND_TASK_ERROR_EMAILS": True, **settings})


@pytest.fixture(autouse=True)
def admins(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    # Pairs until Django 5.2, addresses alone from 6.0 on.
    ada = "ada@example.com"
    settings.ADMINS = [ada if django.VERSION >= (6, 0) else ("Ada", ada)]
    caplog.set_level(logging.CRITICAL, logger="django_tasks.task")


def test_set_09_mail_01_nobody_is_written_to_unless_the_setting_says_so(written: Written) -> None:
    run(quiet)
    off = list(written)
    with on():
        run(quiet)

    assert off == []
    assert len(written) == 1


def test_mail_01_the_mail_says_what_where_and_why(written: Written) -> None:
    run(loud, 1, queue="other", retries=2, argsrepr="(1,)", kwargsrepr="{'password': '********'}")

    ((subject, body),) = written
    assert subject == r"[worker@host] Error: Task mails.loud (an-id): ValueError('bang\nand more')"
    for words in ("mails.loud", "an-id", "other", "worker@host", "(1,)", "{'password': '********'}"):
        assert words in body
    assert "attempt  3" in body
    assert 'raise ValueError("bang\\nand more")' in body
    assert "executor.py" not in body


def test_a_subject_is_one_line_and_not_endless(written: Written) -> None:
    @task(name="mails.long", send_error_emails=True)
    def long() -> None:
        class Odd(Exception):
            def __repr__(self) -> str:
                return "two\nlines " * 1000

        raise Odd

    run(long)

    ((subject, _),) = written
    assert "\n" not in subject
    assert len(subject) < 300


def test_opt_22_mail_02_a_task_may_want_mails_whatever_the_setting_says(written: Written) -> None:
    run(loud)

    assert len(written) == 1


def test_mail_02_a_task_may_want_none_whatever_the_setting_says(written: Written) -> None:
    with on():
        run(never)

    assert written == []


@pytest.mark.parametrize(("error", "mailed"), [("card", 0), ("key", 0), ("value", 1)])
def test_opt_23_mail_03_d_whitelist_what_is_listed_is_not_mailed(
    written: Written, error: str, mailed: int
) -> None:
    run(listing, error)

    assert len(written) == mailed


@pytest.mark.parametrize("listed", [ValueError, "builtins.ValueError", "builtins.Exception"])
def test_mail_03_the_setting_lists_for_all_tasks(written: Written, listed: object) -> None:
    with on(TASK_ERROR_WHITELIST=[listed]):
        run(loud)

    assert written == []


@pytest.mark.parametrize("listed", ["no.such.Error", "builtins.len", "builtins.int"])
def test_a_listed_path_that_leads_to_no_exception_keeps_nothing_back(written: Written, listed: str) -> None:
    with on(TASK_ERROR_WHITELIST=[listed]):
        run(loud)

    assert len(written) == 1


@pytest.mark.parametrize("listed", ["ValueError", "", ".", int, 5])
def test_what_can_be_no_exception_is_refused_where_it_is_written(listed: object) -> None:
    with pytest.raises(
        TypeError, match="error_whitelist must be a list or tuple of exception classes or dotted"
    ):

        @task(name="mails.wrong", error_whitelist=[listed])
        def wrong() -> None: ...


@pytest.mark.parametrize("ends", [expected, ignoring, again])
def test_mail_04_neither_for_expected_exceptions_nor_for_retries(
    written: Written, ends: Task[..., Any]
) -> None:
    run(ends)

    assert written == []


def test_mail_04_when_it_was_tried_often_enough_it_is_mailed(written: Written) -> None:
    assert isinstance(run(again, retries=1), Failed)

    assert len(written) == 1


def test_mail_05_when_the_mail_cannot_be_sent_the_outcome_stands(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def send(messages: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(mails, "send", send)
    caplog.set_level(logging.ERROR, logger="django_tasks.task")

    outcome = run(loud)

    assert isinstance(outcome, Failed)
    assert (
        "write_to_admins raised OperationalError('the database is away'); the outcome stands" in caplog.text
    )


def test_without_admins_nothing_is_sent(written: Written, settings: Any) -> None:
    settings.ADMINS = []

    run(loud)

    assert written == []


def test_what_runs_where_it_is_sent_is_not_mailed(written: Written) -> None:
    loud.apply()

    assert written == []


@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
def test_the_mail_goes_to_the_admins_through_django() -> None:
    mail_error.apply(("the subject", "the body"), throw=True)

    (sent,) = mail.outbox
    assert (sent.subject, sent.body, sent.to) == ("[Django] the subject", "the body", ["ada@example.com"])


@pytest.mark.parametrize("retries", [0, 5])
def test_a_mail_that_fails_is_tried_again_and_never_mailed_itself(
    written: Written, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    def refuse(*args: object) -> None:
        raise ConnectionRefusedError("the mail server is away")

    monkeypatch.setattr("django_tasks.tasks.mail_admins", refuse)

    with on():
        outcome = run(mail_error, "subject", "body", retries=retries)

    assert type(outcome).__name__ == ("Retried" if retries < 5 else "Failed")
    assert written == []


@pytest.mark.django_db(transaction=True)
def test_it_is_sent_to_the_queue_of_the_task_that_failed_and_leaves_no_row() -> None:
    run(loud, queue="other")

    stored = QueuedMessage.objects.get()
    assert stored.queue == "other"
    assert "django_tasks.mail_error" in stored.payload
    assert not TaskResult.objects.exists()
