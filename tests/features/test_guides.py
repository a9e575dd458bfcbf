"""The examples of the guides to Celery, run where they are sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from django_tasks import Task, app, exceptions, registry, task
from django_tasks.definition import retry
from django_tasks.definition.context import Context
from django_tasks.definition.request import running
from django_tasks.exceptions import EncodeError, Retry, RetryTaskError
from django_tasks.message.message import TaskMessage
from tests.features import guide_tasks as guide
from tests.features.guide_tasks import FailWhaleError, Twitter
from tests.ledger.models import Article


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What the stand-ins remember is forgotten."""
    guide.twitter.busy = guide.twitter.calls = 0
    Twitter.refusals.clear()
    Twitter.tweets.clear()
    yield
    for name in ("_db", "count"):
        vars(guide.process_rows).pop(name, None)


def next_run(asking: Task[..., Any], error: Exception) -> TaskMessage:
    """What a run that raised `error` is followed by."""
    context = Context.of(TaskMessage(id="a", task=asking.name))
    with running(asking, context):
        retry.automatically(asking, error)
    assert context._retry is not None
    return context._retry.message


@pytest.mark.django_db
def test_exm_01_create_user() -> None:
    guide.create_user.apply(("ada", "secret"))

    assert User.objects.get().username == "ada"


def test_exm_02_a_base_class_prints_failures(capsys: pytest.CaptureFixture[str]) -> None:
    result = guide.add_and_fail.apply((2, 2))

    assert isinstance(result.result, KeyError)
    assert capsys.readouterr().out == f"{result.id!r} failed: KeyError()\n"


@pytest.mark.parametrize("timeline", [guide.refresh_timeline, guide.refresh_timeline_by_hand])
def test_exm_03_aut_08_five_retries_are_enough_for_five_failures(timeline: Any) -> None:
    """RET-05, RET-19."""
    guide.twitter.busy = 5

    assert timeline.apply(("ada",)).get() == "timeline of ada"
    assert guide.twitter.calls == 6


@pytest.mark.parametrize("timeline", [guide.refresh_timeline, guide.refresh_timeline_by_hand])
def test_exm_03_ret_06_after_the_sixth_the_exception_itself_is_the_result(timeline: Any) -> None:
    guide.twitter.busy = 6

    result = timeline.apply(("ada",))

    assert isinstance(result.result, FailWhaleError)
    assert str(result.result) == "call 6"


def test_exm_03_aut_02_whatever_happens_it_is_tried_three_times_more() -> None:
    guide.twitter.busy = 9

    assert guide.refresh_timeline_whatever_happens.apply(("ada",)).failed()
    assert guide.twitter.calls == 4


def test_aut_09_a_library_s_exception_with_backoff() -> None:
    """AUT-09, AUT-03: within a second at first."""
    eta = next_run(guide.fetch, guide.RequestException()).eta

    assert eta is None or eta - timezone.now() <= dt.timedelta(seconds=1)
    assert guide.fetch.apply().failed()


def test_aut_05_without_backoff_it_waits_the_default_delay() -> None:
    """AUT-05, D-AUTODELAY."""
    eta = next_run(guide.refresh_timeline, FailWhaleError()).eta

    assert eta is not None
    assert dt.timedelta(seconds=175) < eta - timezone.now() <= dt.timedelta(seconds=180)


def test_exm_08_req_30_dump_context(capsys: pytest.CaptureFixture[str]) -> None:
    """REQ-06, REQ-07."""
    result = guide.dump_context.apply((2,), {"y": 3})

    assert capsys.readouterr().out == f"Executing task id {result.id}, args: (2,) kwargs: {{'y': 3}}\n"


def test_exm_08_req_29_a_task_reads_its_request_without_bind(capsys: pytest.CaptureFixture[str]) -> None:
    result = guide.add_aloud.apply((2, 3))

    assert capsys.readouterr().out == f"Executing task id {result.id!r}, args: (2, 3) kwargs: {{}}\n"


@pytest.mark.parametrize(
    ("username", "password", "known"),
    [("george", "password", True), ("george", "wrong", False), ("ada", "password", False)],
)
def test_exm_12_cls_04_a_class_that_checks_passwords(username: str, password: str, known: bool) -> None:
    """REG-09: it is found by the name of its class."""
    server = registry.tasks[guide.NaiveAuthenticateServer.name]

    assert server(username, password) is known
    assert server.apply((username, password)).get() is known


def test_exm_12_cls_06_a_database_is_connected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide.Database, "connections", 0)

    for _ in range(3):
        assert guide.process_rows.apply().get()[2] == ["ROW 1", "ROW 2"]

    assert guide.Database.connections == 1


def test_exm_12_hnd_04_a_debugging_base_has_the_request_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """REG-07: an abstract base."""
    result = guide.add_and_tell.apply((2, 2))

    assert result.get() == 4
    assert capsys.readouterr().out == f"Task returned: <Context: {guide.add_and_tell.name}[{result.id}]>\n"
    assert guide.DebugTask.name not in app.tasks


@pytest.mark.parametrize("send", [guide.send_twitter_status, guide.send_twitter_status_unbound])
def test_exm_13_ret_04_a_tweet_is_sent_at_the_third_attempt(send: Any) -> None:
    """RET-02, RET-05."""
    Twitter.refusals += [Twitter.FailWhaleError(), Twitter.LoginError()]

    result = send.apply(("oauth", "hello"))

    assert (result.state, Twitter.tweets) == ("SUCCESS", ["hello"])


def test_exm_13_ret_08_in_the_end_the_error_made_on_the_spot_is_raised() -> None:
    @task(bind=True, max_retries=1, name="tests.log_in")
    def log_in(self: Task[..., Any]) -> None:
        raise self.retry(exc=Twitter.LoginError("who?"))

    with pytest.raises(Twitter.LoginError, match=r"who\?"):
        log_in.apply().get()


def test_ret_18_a_bare_except_may_ask_for_a_retry() -> None:
    """RET-18; here it never succeeds, so the last one asks in vain."""
    result = guide.add_with_a_bare_except.apply((2, 2))

    assert isinstance(result.result, exceptions.MaxRetriesExceededError)


def test_ret_02_what_follows_a_retry_is_not_run() -> None:
    """RET-02, D-MAXEXC."""
    went_on = []

    @task(bind=True, name="tests.stop_here")
    def stop_here(self: Task[..., Any]) -> None:
        if self.request.retries == 0:
            with pytest.raises(RetryTaskError) as raised:
                self.retry(countdown=0)
            assert isinstance(raised.value, Retry)
            raise raised.value
        went_on.append(self.request.retries)

    assert stop_here.apply().successful()
    assert went_on == [1]


def test_ret_09_the_guides_minute_goes_before_their_half_hour() -> None:
    """RET-09, OPT-15."""
    context = Context.of(TaskMessage(id="a", task=guide.add_patiently.name, args=(1, 2)))

    with running(guide.add_patiently, context), pytest.raises(Retry):
        guide.add_patiently.run(1, 2)

    assert context._retry is not None
    eta = context._retry.message.eta
    assert eta is not None
    assert dt.timedelta(seconds=55) < eta - timezone.now() <= dt.timedelta(seconds=60)


@pytest.mark.django_db
def test_exm_14_tx_02_an_article_is_not_passed_but_its_key() -> None:
    article = Article.objects.create(title="News", body="MyCorp grows")

    with pytest.raises(EncodeError, match=r"ledger\.Article.*Pass its pk"):
        guide.expand_abbreviations.delay(article)
    guide.expand_abbreviations.apply((article.pk,))

    article.refresh_from_db()
    assert article.body == "My Corporation grows"


@pytest.mark.parametrize(
    ("how", "kind", "attributes"),
    [
        ("bare", guide.BareHttpError, {"args": ("404",)}),
        ("bad", guide.BadHttpError, {"status_code": 404}),
        ("good", guide.HttpError, {"status_code": 404}),
        (
            "keywords",
            guide.HttpErrorWithKeywords,
            {"status_code": 404, "headers": {"Allow": "GET"}, "body": "gone"},
        ),
    ],
)
def test_exm_17_exc_01_exc_02_exceptions_come_back_with_what_they_were_given(
    how: str, kind: type[Exception], attributes: dict[str, Any]
) -> None:
    result = guide.respond.apply((how,))

    assert type(result.result) is kind
    assert {name: getattr(result.result, name) for name in attributes} == attributes


@pytest.mark.parametrize("name", ["RetryTaskError", "MaxRetriesExceeded"])
def test_ret_02_ret_07_the_old_names_of_exceptions_are_there(name: str) -> None:
    assert issubclass(getattr(exceptions, name), Exception)
