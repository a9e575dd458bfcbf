"""Parts of a page that are asked for again while it is looked at: `?_fragment=<name>` answers one of them alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import get_conditional_response, patch_cache_control

PARAMETER = "_fragment"


def asked_for(request: HttpRequest) -> str:
    """The name of the fragment that is asked for, or nothing: the whole page."""
    return request.GET.get(PARAMETER, "")


def without_its_name(request: HttpRequest) -> str:
    """Take the parameter out of the request, for whoever reads the others; the name."""
    name = asked_for(request)
    if PARAMETER in request.GET:
        request.GET = request.GET.copy()  # type: ignore[assignment]
        del request.GET[PARAMETER]  # type: ignore[misc]
    return name


def answer(request: HttpRequest, page: HttpResponse, name: str, fragments: Mapping[str, str]) -> HttpResponse:
    """Of a page that is not rendered yet one part, and that only if it has changed since it was asked for last.

    `fragments` has the template of each. Nothing in them may differ from one time to the next that the user cannot
    see, such as the token of a form: then nothing would ever be unchanged.
    """
    if not isinstance(page, TemplateResponse):
        return page
    if name not in fragments:
        raise Http404(f"This page has no fragment named {name!r}.")
    page.template_name = fragments[name]
    page.render()
    etag = f'"{hashlib.sha256(page.content).hexdigest()[:32]}"'
    page.headers["ETag"] = etag
    patch_cache_control(page, private=True, no_cache=True)
    return get_conditional_response(request, etag=etag, response=page) or page
