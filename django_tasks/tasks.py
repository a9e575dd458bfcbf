"""The tasks of the app itself, discovered like anybody's."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Timer
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

from asgiref.sync import async_to_sync
from django.core.mail import mail_admins
from django.db import OperationalError
from django.http.request import validate_host
from django.utils.encoding import iri_to_uri

from . import canvas, clock, conf
from .canvas.signature import taken
from .definition.decorators import task
from .exceptions import InvalidResponseError, RemoteExecuteError, UnknownStatusError, UrlRefused
from .execution import ledger, mails, report, telling, unlocking
from .results import retention
from .steering import bulk
from .steering.selection import Selection


@task(name="django_tasks.ping", aliases=("celery.ping",))
def ping() -> str:
    """Says that a worker is there: `ping.delay().get(timeout=5)`."""
    return "pong"


@task(
    name="django_tasks.backend_cleanup",
    aliases=("celery.backend_cleanup", "celery.delete_expired_task_meta"),
    ignore_result=True,
)
def backend_cleanup() -> None:
    """Delete the results that are older than `RESULT_EXPIRES`, now. Workers do so by themselves, little by little."""
    retention.prune_all()


@task(name=report.TELL, ignore_result=True, acks_late=True)
def tell_of_failure(task_id: str) -> None:
    """Call the handlers of a task whose process was killed."""
    telling.tell_of_failure(task_id)


@task(name=ledger.CALL_ERRBACKS, ignore_result=True, acks_late=True)
def call_errbacks(task_id: str) -> None:
    """Call the error callbacks of a task that never ran: the body of a chord whose header failed."""
    telling.call_errbacks(task_id)


@task(name=bulk.DO_TO_ALL, bind=True, acks_late=True)
def do_to_all(
    self: Any, name: str, selection: Mapping[str, Any], said: Mapping[str, Any], seed: str
) -> dict[str, int]:
    """Do what an operator asked for to all the tasks he chose, and show how far it is."""
    chosen = Selection.read(selection)
    total = chosen.count(bulk.MOST_COUNTED)

    def show(seen: int, done: int) -> None:
        self.update_state(state="PROGRESS", meta={"current": seen, "total": max(total, seen), "done": done})

    done, seen = bulk.do_to_all(name, chosen, said, seed, show)
    return {"done": done, "total": seen}


# What workflows are made of, under Celery's names: so they travel in its messages.


@task(name="celery.accumulate")
def accumulate(*args: Any, index: int | None = None) -> Any:
    """The list of results for which a group stands that is a step of a workflow."""
    return args if index is None else args[index]


@task(name="celery.map")
def map_(task: Mapping[str, Any], it: Iterable[Any]) -> list[Any]:
    """Call a task with each item, one after the other, in one run."""
    call = _function(task)
    return [call(item) for item in it]


@task(name="celery.starmap")
def starmap(task: Mapping[str, Any], it: Iterable[Sequence[Any]]) -> list[Any]:
    """Call a task with the arguments in each item, one after the other, in one run."""
    call = _function(task)
    return [call(*arguments) for arguments in it]


def _function(task: Mapping[str, Any]) -> Callable[..., Any]:
    found = taken(task).type

    async def awaited(*args: Any) -> Any:
        return await found(*args)

    return async_to_sync(awaited) if found.is_async else found


# Workflows that a foreign program sends as one task; ours are taken apart before they are sent. Each sends what it is
# given and returns the ids, for `result_from_tuple`.


@task(name="celery.chunks")
def chunks(task: Mapping[str, Any], it: Iterable[Any], n: int) -> Any:
    """Send a group in which each task does `n` of the items."""
    return canvas.maps.chunks(task, it, n).apply_async().as_tuple()


@task(name="celery.group")
def group(
    tasks: Sequence[Mapping[str, Any]],
    result: Any = None,
    group_id: str | None = None,
    partial_args: Sequence[Any] = (),
    add_to_parent: bool = True,
) -> Any:
    """Send a group, each task with these arguments before its own. `result` has the ids, as the tasks have."""
    return canvas.group.group(tasks).apply_async(tuple(partial_args), task_id=group_id).as_tuple()


@task(name="celery.chord")
def chord(
    header: Any,
    body: Mapping[str, Any],
    partial_args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    task_id: str | None = None,
    **_polling: Any,
) -> Any:
    """Send a chord, each task of the header with these arguments before its own. `task_id` is that of the body."""
    whole = canvas.chord.chord(header, body)
    return whole.apply_async(tuple(partial_args), kwargs, task_id=task_id).as_tuple()


@task(
    name="celery.chord_unlock",
    ignore_result=True,
    acks_late=True,
    # The database may stop one of two that wait for each other crosswise.
    autoretry_for=(OperationalError,),
    retry_backoff=True,
)
def chord_unlock(
    group_id: str, callback: Mapping[str, Any], *_polling: Any, result: Sequence[Any], **_more: Any
) -> None:
    """Have the header of a chord counted that a foreign program sent, to whose end `callback` is sent.

    In Celery it asks again and again whether the header is complete. Here it is run once.
    """
    unlocking.unlock(group_id, callback, unlocking.waited_for(result))


@task(name="celery.chain")
def chain(*_args: Any, **_kwargs: Any) -> None:
    """Raises `NotImplementedError`."""
    raise NotImplementedError(
        "A chain is no task, in Celery neither. Send its first step, as `chain.delay()` does."
    )


@task(
    name=mails.MAIL,
    ignore_result=True,
    acks_late=True,
    autoretry_for=(Exception,),
    max_retries=5,
    retry_backoff=10,
)
def mail_error(subject: str, body: str) -> None:
    """Write to the ADMINS that a task failed (execution/mails.py)."""
    mail_admins(subject, body)


#: Seconds that may pass until somebody is reached, and again until all of the answer is there.
TIMEOUT = 5.0
#: Bytes that an answer may have.
MOST = 1024 * 1024


@task(name="django_tasks.http_dispatch", aliases=("celery.task.http.HttpDispatchTask",))
def http_dispatch(url: str | None = None, method: str = "GET", **kwargs: Any) -> Any:
    """Have a web service do the work: call `url` with the arguments, and return what it answers.

    The arguments go into the query string, or with `method="POST"` into a form. The answer is JSON, either
    `{"status": "success", "retval": ...}` or `{"status": "failure", "reason": ...}`. Only hosts that the setting
    `HTTP_DISPATCH_ALLOWED_HOSTS` names are called, and redirects are not followed.

    Raises `UrlRefused`, `RemoteExecuteError` with the reason, `UnknownStatusError` or `InvalidResponseError` for
    other answers, and `OSError` (`TimeoutError`) if none comes.
    """
    return _retval(_call(_allowed(url), method, urlencode(kwargs, doseq=True)))


def _allowed(url: str | None) -> SplitResult:
    place = urlsplit(iri_to_uri(url or ""))
    usual = {"http": 80, "https": 443}.get(place.scheme)
    if usual is None or not place.hostname or place.username is not None:
        raise UrlRefused(f"url must be http://host/… or https://host/…, without a user, not {url!r}.")
    host = f"[{place.hostname}]" if ":" in place.hostname else place.hostname
    if place.port not in (None, usual):
        host = f"{host}:{place.port}"
    if not validate_host(host, conf.current().HTTP_DISPATCH_ALLOWED_HOSTS):
        raise UrlRefused(
            f"{host} is not in {conf.NAME}['HTTP_DISPATCH_ALLOWED_HOSTS']. Add it there if tasks may call it."
        )
    return place


def _call(place: SplitResult, method: str, form: str) -> bytes:
    """One request over a connection of its own: what checked the URL and what calls it read it alike."""
    if method not in ("GET", "POST"):
        raise ValueError(f"method must be 'GET' or 'POST', not {method!r}.")
    query = "&".join(filter(None, (place.query, form if method == "GET" else "")))
    address = urlunsplit(("", "", place.path or "/", query, ""))
    headers = {"Accept": "application/json", "Connection": "close"}
    if method == "POST":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.connect()
        with _cut_after(TIMEOUT, connection.sock, place.netloc):
            connection.request(method, address, form if method == "POST" else None, headers)
            with connection.getresponse() as response:
                return _body(response, place.netloc)


@contextlib.contextmanager
def _cut_after(seconds: float, connected: socket.socket, host: str) -> Iterator[None]:
    """A socket's own timeout begins anew with each byte."""
    ends = clock.monotonic() + seconds
    timer = Timer(seconds, _cut, [connected])
    timer.daemon = True
    timer.start()
    error: Exception | None = None
    try:
        yield
    except (OSError, HTTPException, InvalidResponseError) as found:
        error = found
    finally:
        timer.cancel()
    if clock.monotonic() >= ends:  # an answer that was cut may look like a whole one
        raise TimeoutError(f"{host} did not answer within {seconds:g} s.") from error
    if error is not None:
        raise error


def _cut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _body(response: HTTPResponse, host: str) -> bytes:
    if not 200 <= response.status < 300:
        hint = " Redirects are not followed." if 300 <= response.status < 400 else ""
        raise InvalidResponseError(f"{host} answered with status {response.status}.{hint}")
    body = response.read(MOST + 1)
    if len(body) > MOST:
        raise InvalidResponseError(f"{host} answered with more than {MOST} bytes.")
    if response.length:
        raise InvalidResponseError(f"{host} ended its answer early.")
    return body


def _retval(body: bytes) -> Any:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidResponseError(f"The answer is no JSON: {error}") from error
    match answer:
        case {"status": "success"}:
            return answer.get("retval")
        case {"status": "failure"}:
            raise RemoteExecuteError(answer.get("reason"))
        case {"status": status}:
            raise UnknownStatusError(f"{status!r} is neither 'success' nor 'failure'.")
        case _:
            raise InvalidResponseError("The answer is no object with a status.")
