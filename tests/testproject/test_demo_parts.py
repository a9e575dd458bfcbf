"""The demo's visitors, progress and programs, each by itself."""

from __future__ import annotations

import io
import signal
import threading
from typing import Any

import pytest

from testproject.blog import tasks
from testproject.blog.models import Comment, Entry
from testproject.demo.posts import Fate, Post
from testproject.demo.programs import DemoError, Program, time_limit, wait_until
from testproject.demo.progress import Progress
from testproject.demo.visitor import Visitor

FORM = "/hello/comment/"


def a_post(text: str = "Thank you.", *, author: str = "Alex") -> Post:
    return Post(author=author, text=text, fate=Fate.HAM)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of the comments whose check was sent."""
    ids: list[int] = []
    monkeypatch.setattr(
        tasks.spam_filter, "delay", lambda comment_id, remote_addr: ids.append(comment_id), raising=False
    )
    return ids


@pytest.fixture
def port(live_server: Any) -> int:
    """Of a real web server with an entry to comment on."""
    Entry.objects.create(slug="hello", title="Hello")
    return int(live_server.thread.port)


def test_a_visitor_gets_past_the_csrf_check_like_a_browser(port: int, sent: list[int]) -> None:
    visitor = Visitor(port)

    statuses = [visitor.comment(a_post(author=author), on=FORM) for author in ("Alex", "Mallory", "Robin")]

    assert statuses == [302, 403, 302]
    assert list(Comment.objects.order_by("id").values_list("name", flat=True)) == ["Alex", "Robin"]


def test_a_visitor_without_the_token_is_refused(port: int, sent: list[int]) -> None:
    visitor = Visitor(port)

    status, _ = visitor.ask("POST", FORM, "name=Alex&email_address=a%40example.com&comment=Hello")

    assert status == 403
    assert not sent


def test_a_page_that_is_not_there_is_answered_with_its_status(port: int) -> None:
    visitor = Visitor(port)

    status = visitor.comment(a_post(), on="/nothing/comment/")

    assert status == 404


def test_progress_on_a_terminal_is_one_line() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    progress = Progress("posting", 2, to=screen)

    for done in (0, 1, 2):
        progress.show(done)

    assert screen.getvalue().count("\r") == 3
    assert screen.getvalue().count("\n") == 1
    assert screen.getvalue().endswith(f"{'#' * 30}    2/2\n")


def test_progress_elsewhere_is_a_line_per_quarter() -> None:
    file = io.StringIO()
    progress = Progress("posting", 100, to=file)

    for done in range(101):
        progress.show(done)

    assert file.getvalue().splitlines() == [f"  posting    {done:>4}/100" for done in (25, 50, 75, 100)]


def test_a_program_is_stopped_at_the_end_whatever_happens() -> None:
    with pytest.raises(KeyboardInterrupt), Program("shell", name="shell", environment={}) as program:
        raise KeyboardInterrupt

    assert program.process.returncode is not None


def test_a_program_that_dies_is_reported_with_its_last_words() -> None:
    with (
        pytest.raises(
            DemoError, match=r"The helper ended with exit code 1\.(?s:.*)Unknown command: 'nonsense'"
        ),
        Program("nonsense", name="helper", environment={}) as program,
    ):
        wait_until(lambda: False, program.check)


def test_a_demo_over_its_time_is_given_up() -> None:
    before = signal.getsignal(signal.SIGALRM)

    with pytest.raises(DemoError, match=r"not done after 1 s.*--limit"), time_limit(1):
        threading.Event().wait()

    assert signal.getsignal(signal.SIGALRM) is before
