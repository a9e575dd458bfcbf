"""A site with a strict Content-Security-Policy, as a careful one sends it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:"

GetResponse = Callable[[HttpRequest], HttpResponse]


def strict(get_response: GetResponse) -> GetResponse:
    """Middleware."""

    def respond(request: HttpRequest) -> HttpResponse:
        if request.path == "/favicon.ico":
            return HttpResponse(status=204)  # asked for by every browser, and no page of ours
        response = get_response(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return respond
