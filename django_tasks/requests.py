"""Who asked: the middleware of a site that notes the request being answered, so that tasks know whence they come.

    # settings
    MIDDLEWARE = [
        ...
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django_tasks.requests.RequestMiddleware",
    ]

A task that is sent meanwhile carries the id of the request and that of the user, and so do the tasks that it sends.
Nothing is looked up for it: the user is known if something else has asked who that is.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import LazyObject, empty

from django_tasks.message.asked import Asked, is_name

#: Proxies say by this what they call a request. Without it we give it a name of our own, and the answer says which.
HEADER = "X-Request-ID"
#: Where Django's `AuthenticationMiddleware` keeps a user once it was looked up, and where others put theirs.
_USERS = ("_cached_user", "_acached_user", "user")

Answer = Callable[[HttpRequest], HttpResponseBase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The request being answered."""

    request: HttpRequest
    id: str


_answered: ContextVar[Answered | None] = ContextVar("django_tasks_answered", default=None)


@sync_and_async_middleware
def RequestMiddleware(get_response: Answer) -> Any:  # noqa: N802 - as Django calls middleware
    """Notes each request while it is answered."""
    if not iscoroutinefunction(get_response):
        return _sync(get_response)
    return _async(cast("Callable[[HttpRequest], Awaitable[HttpResponseBase]]", get_response))


def _sync(get_response: Answer) -> Answer:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        with answering(request) as id:
            response = get_response(request)
        response.headers.setdefault(HEADER, id)
        return response

    return middleware


def _async(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> Any:
    async def middleware(request: HttpRequest) -> HttpResponseBase:
        with answering(request) as id:
            response = await get_response(request)
        response.headers.setdefault(HEADER, id)
        return response

    return middleware


@contextlib.contextmanager
def answering(request: HttpRequest) -> Iterator[str]:
    """The block answers this request: what is sent in it, is sent because of it. Answers the request's id."""
    given = request.headers.get(HEADER, "")
    # It comes from outside and goes into a column: what does not fit is no name.
    answered = Answered(request=request, id=given if is_name(given) else uuid.uuid4().hex)
    token = _answered.set(answered)
    try:
        yield answered.id
    finally:
        _answered.reset(token)


def asked() -> Asked | None:
    """Because of whom something is sent here and now; `None` outside of requests, or without the middleware."""
    answered = _answered.get()
    if answered is None:
        return None
    return Asked(user_id=_user_id(answered.request), request_id=answered.id)


def _user_id(request: HttpRequest) -> str | None:
    for name in _USERS:
        user = vars(request).get(name)
        if isinstance(user, LazyObject) and vars(user)["_wrapped"] is empty:
            continue  # who it is would have to be looked up
        key = getattr(user, "pk", None)
        if key is not None and is_name(str(key)):
            return str(key)
    return None
