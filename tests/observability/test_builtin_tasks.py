"""The app's own tasks (FEATURES §15)."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import override_settings

from django_tasks import clock, registry, tasks
from django_tasks.exceptions import (
    InvalidResponseError,
    RemoteExecuteError,
    TasksError,
    UnknownStatusError,
    UrlRefused,
)
from django_tasks.models import TaskResult
from django_tasks.tasks import backend_cleanup, http_dispatch, ping


def test_reg_04_the_app_s_own_tasks_are_in_the_registry() -> None:
    names = [name for name in registry.tasks if name.startswith("django_tasks.")]

    assert {f"django_tasks.{name}" for name in ("ping", "backend_cleanup", "http_dispatch")} <= set(names)
    assert repr(registry.tasks["celery.ping"]) == "<Task: django_tasks.ping (regular)>"


def test_blt_05_ping_says_pong_under_both_names() -> None:
    assert ping.apply().get() == "pong"
    assert registry.find("celery.ping") is registry.find("django_tasks.ping") is ping


@pytest.mark.django_db
def test_blt_01_cleanup_deletes_what_ended_too_long_ago_under_all_its_names() -> None:
    def row(id: str, days: int, status: str = "SUCCESS") -> None:
        ended = clock.to_storage(clock.now() - dt.timedelta(days=days))
        TaskResult.objects.create(
            id=id, task="t", queue="default", message="{}", status=status, created_at=ended, finished_at=ended
        )

    row("old", 3)
    row("new", 0)
    row("waits", 3, "PENDING")

    with override_settings(DJANGO_TASKS={"RESULT_EXPIRES": 86_400.0}):
        assert backend_cleanup.apply().state == "SUCCESS"

    assert set(TaskResult.objects.values_list("id", flat=True)) == {"new", "waits"}
    for name in ("celery.backend_cleanup", "celery.delete_expired_task_meta", "django_tasks.backend_cleanup"):
        assert registry.find(name) is backend_cleanup


# -- http_dispatch


class Service(BaseHTTPRequestHandler):
    """Answers what the path asks for, and remembers what it was asked."""

    asked: list[tuple[str, str, dict[str, list[str]]]] = []
    hanging = threading.Event()

    def do_GET(self) -> None:
        self.answer(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        self.answer(parse_qs(body))

    def answer(self, form: dict[str, list[str]]) -> None:
        path = urlsplit(self.path).path
        self.asked.append((self.command, path, form))
        getattr(self, f"answer_{path.strip('/')}")(form)

    def answer_add(self, form: dict[str, list[str]]) -> None:
        self.send_json({"status": "success", "retval": sum(int(x) for x in form["x"])})

    def answer_fail(self, form: dict[str, list[str]]) -> None:
        self.send_json({"status": "failure", "reason": "no such order"})

    def answer_odd(self, form: dict[str, list[str]]) -> None:
        self.send_json({"status": "perhaps"})

    def answer_list(self, form: dict[str, list[str]]) -> None:
        self.send_json([1, 2])

    def answer_page(self, form: dict[str, list[str]]) -> None:
        self.send(200, b"<html>")

    def answer_deep(self, form: dict[str, list[str]]) -> None:
        self.send(200, b"[" * 100_000)

    def answer_big(self, form: dict[str, list[str]]) -> None:
        self.send(200, b" " * (tasks.MOST + 1))

    def answer_error(self, form: dict[str, list[str]]) -> None:
        self.send(500, b'{"status": "success", "retval": 1}')

    def answer_redirect(self, form: dict[str, list[str]]) -> None:
        self.send_response(302)
        self.send_header("Location", "/add?x=1")
        self.end_headers()

    def answer_short(self, form: dict[str, list[str]]) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b'{"status": "success"}')

    def answer_never(self, form: dict[str, list[str]]) -> None:
        self.hanging.wait(30)

    def answer_slowly(self, form: dict[str, list[str]]) -> None:
        """A byte now and then, so that no single wait is long."""
        self.send_response(200)
        self.end_headers()
        try:
            while not self.hanging.wait(0.05):
                self.wfile.write(b" ")
        except OSError:
            return

    def send_json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode())

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def service() -> Iterator[str]:
    """A web service on this machine that tasks may call; its URL."""
    Service.asked.clear()
    Service.hanging.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"127.0.0.1:{server.server_port}"
    with override_settings(DJANGO_TASKS={"HTTP_DISPATCH_ALLOWED_HOSTS": [address]}):
        yield f"http://{address}"
    Service.hanging.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_blt_02_arguments_go_into_the_query_string_and_the_answer_is_the_result(service: str) -> None:
    result = http_dispatch.apply((f"{service}/add?x=1",), {"x": [2, 3]})

    assert result.get() == 6
    assert Service.asked == [("GET", "/add", {"x": ["1", "2", "3"]})]


def test_blt_02_or_into_a_form(service: str) -> None:
    result = http_dispatch.apply((), {"url": f"{service}/add", "method": "POST", "x": ["4"]})

    assert result.get() == 4
    assert Service.asked == [("POST", "/add", {"x": ["4"]})]


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("fail", RemoteExecuteError, "no such order"),
        ("odd", UnknownStatusError, "perhaps"),
        ("list", InvalidResponseError, "no object"),
        ("page", InvalidResponseError, "no JSON"),
        ("deep", InvalidResponseError, "no JSON"),
        ("big", InvalidResponseError, "more than"),
        ("error", InvalidResponseError, "status 500"),
        ("redirect", InvalidResponseError, "Redirects are not followed"),
        ("short", InvalidResponseError, "ended its answer early"),
    ],
)
def test_blt_02_other_answers_are_errors(
    service: str, path: str, error: type[TasksError], words: str
) -> None:
    result = http_dispatch.apply((f"{service}/{path}",))

    assert type(result.result) is error
    assert words in str(result.result)
    assert len(Service.asked) == 1


@pytest.mark.parametrize("path", ["never", "slowly"])
def test_blt_02_it_does_not_wait_for_ever(service: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TIMEOUT", 0.3)

    result = http_dispatch.apply((f"{service}/{path}",))

    assert isinstance(result.result, TimeoutError)


def test_blt_02_nobody_may_be_called_unless_a_setting_says_so() -> None:
    with pytest.raises(UrlRefused, match=r"127\.0\.0\.1 is not in .*HTTP_DISPATCH_ALLOWED_HOSTS"):
        http_dispatch("http://127.0.0.1/")


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("example.com", "http://example.com:22/"),
        ("example.com", "https://example.com:80/"),
        ("example.com", "http://example.com.evil.org/"),
        ("example.com", "http://example.com@evil.org/"),
        ("example.com", "http://user:password@example.com/"),
        ("example.com", "http://evil.org\\@example.com/"),
        ("example.com", "http://evil.org#@example.com/"),
        ("example.com:8000", "http://example.com/"),
        (".example.com", "http://evilexample.com/"),
        ("*", "file:///etc/passwd"),
        ("*", "ftp://example.com/"),
        ("*", "//example.com/"),
        ("*", ""),
        ("*", None),
    ],
)
def test_blt_02_what_is_not_allowed_is_not_called(
    monkeypatch: pytest.MonkeyPatch, allowed: str, url: str | None
) -> None:
    monkeypatch.setattr(tasks, "_call", lambda *args: pytest.fail("called"))

    with (
        override_settings(DJANGO_TASKS={"HTTP_DISPATCH_ALLOWED_HOSTS": [allowed]}),
        pytest.raises(UrlRefused),
    ):
        http_dispatch(url)


@pytest.mark.parametrize(
    ("allowed", "url"),
    [
        ("example.com", "http://EXAMPLE.com/"),
        ("example.com", "https://example.com:443/"),
        ("example.com:8000", "http://example.com:8000/"),
        (".example.com", "http://api.example.com/"),
        ("[::1]", "http://[::1]/"),
    ],
)
def test_blt_02_what_is_allowed_is_called(monkeypatch: pytest.MonkeyPatch, allowed: str, url: str) -> None:
    monkeypatch.setattr(tasks, "_call", lambda *args: b'{"status": "success", "retval": 1}')

    with override_settings(DJANGO_TASKS={"HTTP_DISPATCH_ALLOWED_HOSTS": [allowed]}):
        assert http_dispatch(url) == 1


def test_blt_02_other_methods_are_refused(service: str) -> None:
    with pytest.raises(ValueError, match="must be 'GET' or 'POST', not 'DELETE'"):
        http_dispatch(f"{service}/add", method="DELETE")
