"""What tasks print goes into the log (FEATURES LOG-04)."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from io import StringIO

import pytest

from django_tasks import task
from django_tasks.execution import prints
from tests.threads import Errand


@task(name="prints.say")
def say(*words: str, end: str = "\n") -> None:
    print(*words, end=end)


@task(name="prints.complain")
def complain(words: str) -> None:
    print(words, file=sys.stderr)


@task(name="prints.outer")
def outer() -> None:
    print("before", end=" ")
    say("called as a function", end=" ")
    print("after")


@contextlib.contextmanager
def caught() -> Iterator[StringIO]:
    """As in a task process; answers what a person at the terminal sees."""
    # Not a fixture: between setup and test pytest puts streams of its own in place.
    screen = StringIO()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen), prints.in_log():
        yield screen


def test_log_04_a_print_is_one_warning_with_its_task(caplog: pytest.LogCaptureFixture) -> None:
    with caught() as screen:
        result = say.apply(("hello", "world"))

    (record,) = caplog.records
    about = vars(record)
    assert (record.levelno, record.message, record.name) == (
        logging.WARNING,
        "hello world",
        "django_tasks.task.stdout",
    )
    assert (about["task_name"], about["task_id"], about["queue"], about["attempt"]) == (
        "prints.say",
        result.id,
        "default",
        1,
    )
    assert screen.getvalue() == ""


def test_standard_error_is_caught_as_well(caplog: pytest.LogCaptureFixture) -> None:
    with caught():
        complain.apply(("oh no",))

    assert [(record.name, record.message) for record in caplog.records] == [
        ("django_tasks.task.stderr", "oh no")
    ]


def test_several_lines_are_several_records_and_empty_ones_none(caplog: pytest.LogCaptureFixture) -> None:
    with caught():
        say.apply(("one\n\n  \ntwo",))

    assert caplog.messages == ["one", "two"]


def test_a_line_that_is_not_ended_is_logged_when_the_task_ends(caplog: pytest.LogCaptureFixture) -> None:
    with caught():
        first = say.apply(("no end",), {"end": ""})
        say.apply(("next",))

    assert caplog.messages == ["no end", "next"]
    assert vars(caplog.records[0])["task_id"] == first.id


def test_pieces_of_a_line_are_put_together(caplog: pytest.LogCaptureFixture) -> None:
    with caught():
        outer.apply()

    assert caplog.messages == ["before called as a function after"]


def test_what_is_printed_outside_of_tasks_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caught() as screen:
        print("hello")
        say("called as a function, of no task")

    assert screen.getvalue() == "hello\ncalled as a function, of no task\n"
    assert caplog.messages == []


def test_each_thread_has_its_own_line(caplog: pytest.LogCaptureFixture) -> None:
    half, whole = threading.Event(), threading.Event()

    @task(name="prints.slow")
    def slow() -> None:
        print("slow", end=" ")
        half.set()
        assert whole.wait(10)
        print("and steady")

    with caught():
        errand = Errand(slow.apply)
        assert half.wait(10)
        say.apply(("quick",))
        whole.set()
        errand.result()

    assert caplog.messages == ["quick", "slow and steady"]


def test_a_log_that_ends_on_standard_error_is_not_its_own_input(monkeypatch: pytest.MonkeyPatch) -> None:
    root, ours = logging.getLogger(), logging.getLogger("django_tasks")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(ours, "handlers", [])

    with caught() as screen:
        say.apply(("through the last resort",))

    assert screen.getvalue() == "through the last resort\n"


def test_afterwards_the_streams_are_what_they_were() -> None:
    before = sys.stdout, sys.stderr

    with prints.in_log():
        during = sys.stdout, sys.stderr

    assert (sys.stdout, sys.stderr) == before
    assert during != before


def test_the_rest_of_a_stream_is_that_of_the_original() -> None:
    with caught() as screen:
        sys.stdout.writelines(["a\n", "b\n"])
        is_terminal = sys.stdout.isatty()
        value = sys.stdout.getvalue()  # type: ignore[attr-defined]

    assert screen.getvalue() == value == "a\nb\n"
    assert not is_terminal
