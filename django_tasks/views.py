"""How all of it is, for programs that ask over HTTP. Nothing of it is there until a project's URLconf has it:

    from django_tasks import views

    path("metrics", views.metrics(token=env("METRICS_TOKEN"))),
    path("stats.json", views.stats()),

With a token, whoever sends it as `Authorization: Bearer …` is answered. Without, whoever is logged in and may see
tasks in the admin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from django_tasks.overview.course import course
from django_tasks.overview.document import document
from django_tasks.overview.exposition import exposition
from django_tasks.overview.exposition import metrics as all_metrics
from django_tasks.overview.state import state_now

View = Callable[[HttpRequest], HttpResponse]

PERMISSION = "django_tasks.view_taskresult"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: The plainer first, for who takes anything; and by version, as one asks for that, too.
OFFERED = (
    *("text/plain", "text/plain; version=0.0.4"),
    *("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
)


def metrics(*, token: str | None = None) -> View:
    """A view for Prometheus, in its text format, or as OpenMetrics for whoever prefers that."""
    return _guarded(_metrics, token)


def stats(*, token: str | None = None) -> View:
    """A view that tells the same as `manage.py taskstatus --json`."""
    return _guarded(_stats, token)


def _metrics(request: HttpRequest) -> HttpResponse:
    # Whoever asks for something else, or for nothing, can read the oldest format.
    is_open = (request.get_preferred_type(OFFERED) or "").startswith("application/openmetrics-text")
    text = exposition(all_metrics(state_now()), is_open=is_open)
    answer = HttpResponse(text, content_type=OPEN_METRICS if is_open else PLAIN)
    answer.headers["Vary"] = "Accept"
    return answer


def _stats(request: HttpRequest) -> HttpResponse:
    return JsonResponse(document(state_now(), course()), json_dumps_params={"indent": 2})


def _guarded(view: View, token: str | None) -> View:
    if token is not None and not token.strip():
        raise ImproperlyConfigured(
            "The token of an endpoint of django_tasks is empty, so anybody could guess it. Set one, or leave "
            "the argument out to let in who is logged in and may see tasks."
        )
    # Not in a transaction of the request, with ATOMIC_REQUESTS: it would begin before `_answer` can say that it fails.
    return transaction.non_atomic_requests(never_cache(require_safe(partial(_answer, view, token))))


def _answer(view: View, token: str | None, request: HttpRequest) -> HttpResponse:
    try:
        if may_see(request) if token is None else _has_token(request, token):
            return view(request)
    except Error:
        # What it says may name hosts and tables.
        return HttpResponse(
            "The database cannot be asked.\n", status=503, content_type="text/plain; charset=utf-8"
        )
    status = 403 if token is None else 401
    refused = HttpResponse("Not allowed.\n", status=status, content_type="text/plain; charset=utf-8")
    if token is not None:
        refused.headers["WWW-Authenticate"] = "Bearer"
    return refused


def _has_token(request: HttpRequest, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and constant_time_compare(given.strip(), token)


def may_see(request: HttpRequest) -> bool:
    """Is somebody there who may see tasks? A project's users may be of a class that knows no permissions."""
    has_perm = getattr(getattr(request, "user", None), "has_perm", None)
    return has_perm is not None and bool(has_perm(PERMISSION))
