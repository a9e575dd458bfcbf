"""People with a browser: they get the form, keep the cookie, send the form back."""

from __future__ import annotations

import contextlib
import http.client
import urllib.parse
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from queue import SimpleQueue

from .posts import Post


class Visitor:
    """One visitor of the site on `port`, with a cookie jar. One thread at a time."""

    def __init__(self, port: int, *, timeout: float = 30.0) -> None:
        self.port = port
        self.timeout = timeout
        self.cookies: SimpleCookie = SimpleCookie()

    def comment(self, post: Post, *, on: str) -> int:
        """Fill in the form at the path `on` and send it; the HTTP status of the answer."""
        status, page = self.ask("GET", on)
        if status != 200:
            return status
        form = {
            **_hidden_fields(page),
            "name": post.author,
            "email_address": "visitor@example.com",
            "homepage": "",
            "comment": post.text,
        }
        status, _ = self.ask("POST", on, urllib.parse.urlencode(form))
        return status

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Status and page. Over a connection of its own: on one kept open, TCP delays runserver's answers."""
        headers = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            page = response.read().decode()
        for cookie in response.headers.get_all("Set-Cookie", []):
            self.cookies.load(cookie)
        return response.status, page


class Crowd:
    """So many visitors, for as many threads: each takes one who is free."""

    def __init__(self, port: int, *, size: int) -> None:
        self._free: SimpleQueue[Visitor] = SimpleQueue()
        for _ in range(size):
            self._free.put(Visitor(port))

    def comment(self, post: Post, *, on: str) -> int:
        """As `Visitor.comment`."""
        visitor = self._free.get()
        try:
            return visitor.comment(post, on=on)
        finally:
            self._free.put(visitor)


def _hidden_fields(page: str) -> dict[str, str]:
    reader = _HiddenFields()
    reader.feed(page)
    return reader.found


class _HiddenFields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        field = dict(attrs)
        if tag == "input" and field.get("type") == "hidden":
            self.found[field.get("name") or ""] = field.get("value") or ""
