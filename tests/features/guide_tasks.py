"""The tasks of the guides to Celery, as they are written there; only what Python 3 and today's Django want is changed.

What a guide calls and leaves undefined (Twitter, a database) is a small stand-in here.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from django_tasks import AsyncResult, Task, app, task
from tests.ledger.models import Article


# -- EXM-01
@app.task
def create_user(username, password):
    User.objects.create(username=username, password=password)


@task
def add(x, y):
    return x + y


# -- EXM-02
class MyTask(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        print("{0!r} failed: {1!r}".format(task_id, exc))  # noqa: UP030, UP032 - as the guide has it


@app.task(base=MyTask)
def add_and_fail(x, y):
    raise KeyError()


# -- EXM-03
class FailWhaleError(Exception):
    pass


class Whale:
    """A Twitter that is over capacity so many times."""

    def __init__(self) -> None:
        self.busy = 0
        self.calls = 0

    def refresh_timeline(self, user: str) -> str:
        self.calls += 1
        if self.calls <= self.busy:
            raise FailWhaleError(f"call {self.calls}")
        return f"timeline of {user}"


twitter = Whale()


@app.task(autoretry_for=(FailWhaleError,), retry_kwargs={"max_retries": 5})
def refresh_timeline(user):
    return twitter.refresh_timeline(user)


@app.task
def refresh_timeline_by_hand(user):
    try:
        return twitter.refresh_timeline(user)
    except FailWhaleError as exc:
        raise refresh_timeline_by_hand.retry(exc=exc, max_retries=5)  # noqa: B904 - as the guide has it


@app.task(autoretry_for=(Exception,))
def refresh_timeline_whatever_happens(user):
    return twitter.refresh_timeline(user)


class RequestException(OSError):
    """As that of requests."""


@app.task(autoretry_for=(RequestException,), retry_backoff=True)
def fetch():
    raise RequestException("no route")


# -- EXM-08
@app.task(bind=True)
def dump_context(self, x, y):
    print(
        "Executing task id {0.id}, args: {0.args!r} kwargs: {0.kwargs!r}".format(  # noqa: UP032
            self.request
        )
    )


@task
def add_aloud(x, y):
    print(
        "Executing task id %r, args: %r kwargs: %r"  # noqa: UP031
        % (add_aloud.request.id, add_aloud.request.args, add_aloud.request.kwargs)
    )


# -- EXM-09
@task
def other_task(result):
    return f"other {result}"


# -- EXM-10
@app.task
def error_handler(uuid):
    result = AsyncResult(uuid)
    exc = result.get(propagate=False)
    print("Task {0} raised exception: {1!r}\n{2!r}".format(uuid, exc, result.traceback))  # noqa: UP030, UP032


# -- EXM-12
class NaiveAuthenticateServer(Task):
    def __init__(self):
        self.users = {"george": "password"}

    def run(self, username, password):
        try:
            return self.users[username] == password
        except KeyError:
            return False


class Database:
    connections = 0

    @classmethod
    def connect(cls) -> Any:
        cls.connections += 1
        return SimpleNamespace(table=SimpleNamespace(all=lambda: ["row 1", "row 2"]))


class DatabaseTask(Task):
    _db = None

    @property
    def db(self):
        if self._db is None:
            self._db = Database.connect()
        return self._db


@app.task(base=DatabaseTask)
def process_rows():
    rows = [row.upper() for row in process_rows.db.table.all()]
    return [os.getpid(), Database.connections, rows]


class DebugTask(Task):
    abstract = True

    def after_return(self, *args, **kwargs):
        print("Task returned: %r" % (self.request,))  # noqa: UP031


@task(base=DebugTask)
def add_and_tell(x, y):
    return x + y


@task(bind=True)
def show_request(self):
    """What a task knows of its run in a real worker (REQ-*)."""
    request = self.request
    return {
        name: getattr(request, name)
        for name in (
            "id", "root_id", "parent_id", "correlation_id", "args", "kwargs", "retries", "is_eager", "called_directly",
            "hostname", "origin", "reply_to", "utc", "headers", "expires", "eta", "group", "taskset", "chord", "chain",
            "callbacks", "errbacks", "loglevel", "logfile", "delivery_info",
        )
    }  # fmt: skip


@app.task(bind=True)
def count_up(self):
    """State that stays in the process (CLS-05)."""
    self.count = getattr(self, "count", 0) + 1
    return [os.getpid(), self.count]


# -- EXM-13
class Twitter:
    class FailWhaleError(Exception):
        pass

    class LoginError(Exception):
        pass

    refusals: list[Exception] = []
    tweets: list[str] = []

    def __init__(self, oauth: str) -> None:
        self.oauth = oauth

    def update_status(self, tweet: str) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.tweets.append(tweet)


@app.task(bind=True)
def send_twitter_status(self, oauth, tweet):
    try:
        twitter = Twitter(oauth)
        twitter.update_status(tweet)
    except (Twitter.FailWhaleError, Twitter.LoginError) as exc:
        raise self.retry(exc=exc)  # noqa: B904


@task
def send_twitter_status_unbound(oauth, tweet):
    try:
        twitter = Twitter(oauth)
        twitter.update_status(tweet)
    except (Twitter.FailWhaleError, Twitter.LoginError) as exc:
        send_twitter_status_unbound.retry(exc=exc)


@task(bind=True, default_retry_delay=0)
def add_with_a_bare_except(self, x, y):
    try:
        return x + y + [][self.request.retries]
    except:  # noqa: E722
        self.retry()


@task(default_retry_delay=30 * 60)
def add_patiently(x, y):
    try:
        raise ArithmeticError
    except Exception as exc:  # noqa: BLE001 - as the guide has it
        add_patiently.retry(exc=exc, countdown=60)


# -- EXM-14
@task
def expand_abbreviations(article_id):
    article = Article.objects.get(id=article_id)
    article.body = article.body.replace("MyCorp", "My Corporation")
    article.save()


@transaction.atomic
def create_article(request):
    article = Article.objects.create(title=request["title"], body=request["body"])
    return expand_abbreviations.delay(article.pk)


# -- EXM-17
class BareHttpError(Exception):
    pass


class BadHttpError(Exception):
    def __init__(self, status_code):
        self.status_code = status_code


class HttpError(Exception):
    def __init__(self, status_code):
        self.status_code = status_code
        Exception.__init__(self, status_code)


class HttpErrorWithKeywords(Exception):
    def __init__(self, status_code, headers=None, body=None):
        self.status_code = status_code
        self.headers = headers
        self.body = body
        super().__init__(status_code, headers, body)


@task
def respond(how):
    match how:
        case "bare":
            raise BareHttpError("404")
        case "bad":
            raise BadHttpError(404)
        case "good":
            raise HttpError(404)
        case "keywords":
            raise HttpErrorWithKeywords(404, headers={"Allow": "GET"}, body="gone")
