"""The options of one call, and what goes before what."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from django_tasks import clock, task
from django_tasks.exceptions import UnknownOption, UnknownQueue
from django_tasks.message.message import TaskMessage

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@task
def send() -> None: ...


@task(queue="mail", priority=3, serializer="yaml", compression="bzip2", ignore_result=True, expires=120)
def choosy() -> None: ...


@pytest.mark.parametrize(
    ("asked", "field", "expected"),
    [
        ({}, "queue", "mail"),
        ({"queue": "bulk"}, "queue", "bulk"),
        ({}, "priority", 3),
        ({"priority": 0}, "priority", 0),
        ({}, "serializer", "yaml"),
        ({"serializer": "json"}, "serializer", "json"),
        ({}, "compression", "application/x-bz2"),
        ({"compression": "gzip"}, "compression", "application/x-gzip"),
        ({}, "ignore_result", True),
        ({"ignore_result": False}, "ignore_result", False),
        ({}, "expires", NOW + dt.timedelta(seconds=120)),
        ({"expires": 60}, "expires", NOW + dt.timedelta(seconds=60)),
        ({"queue": None, "priority": None, "ignore_result": None}, "priority", 3),
    ],
)
def test_the_call_goes_before_the_task(
    sent: list[TaskMessage], settings: Any, asked: Any, field: str, expected: Any
) -> None:
    """FEATURES EXE-03, EXE-12, EXE-13, EXE-14, OPT-04, OPT-05, OPT-24, OPT-29."""
    settings.DJANGO_TASKS = {"TASK_QUEUES": ["mail", "bulk"]}

    choosy.apply_async(**asked)

    assert getattr(sent[0], field) == expected


def test_the_settings_speak_when_nobody_else_does(sent: list[TaskMessage], settings: Any) -> None:
    """FEATURES OPT-04, OPT-24, SET-12."""
    settings.DJANGO_TASKS = {
        "TASK_COMPRESSION": "zlib",
        "TASK_DEFAULT_QUEUE": "main",
        "TASK_SERIALIZER": "yaml",
        "TASK_IGNORE_RESULT": True,
        "REDACT": ["path"],
    }

    @task
    def show(path: str) -> None: ...

    show.delay("cat.png")

    (message,) = sent
    assert (message.queue, message.serializer, message.ignore_result) == ("main", "yaml", True)
    assert message.compression == "application/x-gzip"
    assert message.argsrepr == "('********',)"


@pytest.mark.parametrize(("countdown", "delay"), [(60, 60), (0.5, 0.5), (0, None), (None, None)])
def test_countdown_is_seconds_from_now(sent: list[TaskMessage], countdown: Any, delay: Any) -> None:
    """FEATURES EXE-01."""
    send.apply_async(countdown=countdown)

    assert sent[0].eta == (None if delay is None else NOW + dt.timedelta(seconds=delay))


def test_countdown_and_expires_both_count_from_now(sent: list[TaskMessage]) -> None:
    """FEATURES EXE-05."""
    send.apply_async(countdown=60, expires=120)

    assert sent[0].eta == NOW + dt.timedelta(seconds=60)
    assert sent[0].expires == NOW + dt.timedelta(seconds=120)


@pytest.mark.parametrize("option", ["eta", "expires"])
def test_a_naive_moment_is_in_the_time_zone_of_the_project(
    sent: list[TaskMessage], settings: Any, option: Any
) -> None:
    """FEATURES EXE-02, EXE-04."""
    settings.TIME_ZONE = "Europe/Berlin"

    asked: Any = {option: dt.datetime(2030, 6, 1, 12)}
    send.apply_async(**asked)

    assert getattr(sent[0], option) == dt.datetime(2030, 6, 1, 10, tzinfo=dt.UTC)


def test_a_moment_that_is_past_is_fine(sent: list[TaskMessage]) -> None:
    """FEATURES EXE-02, EXE-03."""
    send.apply_async(eta=NOW - dt.timedelta(days=1), expires=-5)

    assert sent[0].eta == NOW - dt.timedelta(days=1)
    assert sent[0].expires == NOW - dt.timedelta(seconds=5)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"countdown": 5, "eta": NOW}, "give one of them"),
        ({"countdown": -1}, "countdown must be 0 or more"),
        ({"countdown": float("nan")}, "countdown must be a moment"),
        ({"countdown": float("inf")}, "countdown must be a moment"),
        ({"expires": float("nan")}, "expires must be a moment"),
        ({"eta": dt.datetime.max}, "eta must be a moment"),
        ({"expires": dt.datetime.min.replace(tzinfo=dt.UTC)}, "expires must be a moment"),
        ({"priority": 10}, "priority must be from 0 to 9"),
        ({"priority": -1}, "priority must be from 0 to 9"),
        ({"task_id": ""}, "task_id must be 1 to 255 printable characters"),
        ({"task_id": "x" * 256}, "task_id must be 1 to 255 printable characters"),
        ({"task_id": "a\nb"}, "task_id must be 1 to 255 printable characters"),
        ({"reply_to": "x" * 256}, "reply_to must be 1 to 255 printable characters"),
        ({"headers": {"eta": 1, "by": 2}}, "headers cannot have eta"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(sent: list[TaskMessage], asked: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        send.apply_async(**asked)
    assert sent == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"countdown": "5"}, "countdown must be a number, not '5'"),
        ({"countdown": True}, "countdown must be a number, not True"),
        ({"eta": 5}, "eta must be a datetime"),
        ({"expires": "tomorrow"}, "expires must be a number or a datetime"),
        ({"priority": 3.0}, "priority must be a whole number"),
        ({"task_id": 5}, "task_id must be a string"),
        ({"headers": ["by"]}, "headers must be a mapping"),
        ({"headers": {5: 1}}, "headers must have strings as keys"),
        ({"ignore_result": 1}, "ignore_result must be True or False"),
        ({"queue": ["mail"]}, "queue must be a string"),
    ],
)
def test_a_value_of_another_type_is_refused(sent: list[TaskMessage], asked: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        send.apply_async(**asked)
    assert sent == []


def test_an_unknown_option_is_refused_with_a_guess(sent: list[TaskMessage]) -> None:
    with pytest.raises(UnknownOption, match=r"no option 'countdwn'\. Did you mean 'countdown'\?"):
        send.apply_async(countdwn=5)  # type: ignore[call-arg]
    assert sent == []


def test_an_argument_given_as_an_option_is_refused_with_advice(sent: list[TaskMessage]) -> None:
    with pytest.raises(
        UnknownOption, match=r"no option 'comment_id'. Arguments .* go into args=\(...\) and kwargs="
    ):
        send.apply_async(comment_id=5)  # type: ignore[call-arg]
    assert sent == []


@pytest.mark.parametrize("option", ["add_to_parent"])
def test_an_option_of_a_later_version_is_refused(sent: list[TaskMessage], option: str) -> None:
    with pytest.raises(UnknownOption, match=f"{option!r} is not supported yet"):
        send.apply_async(**{option: None})
    assert sent == []


def test_an_undeclared_queue_is_refused(sent: list[TaskMessage]) -> None:
    with pytest.raises(UnknownQueue):
        send.apply_async(queue="nowhere")
    assert sent == []


def test_the_rest_travels_as_it_is(sent: list[TaskMessage]) -> None:
    """FEATURES EXE-16, EXE-17."""
    result = send.apply_async(task_id="my-id", headers={"by": "me"}, shadow="sending", reply_to="answers")

    (message,) = sent
    assert (message.id, result.id, message.root_id) == ("my-id", "my-id", "my-id")
    assert (message.headers, message.shadow, message.reply_to) == ({"by": "me"}, "sending", "answers")


def test_opt_05_a_compression_that_is_not_there_is_an_error_where_it_is_written(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"no compression 'gzipp' is installed. Did you mean 'gzip'"):
        send.apply_async(compression="gzipp")
    with pytest.raises(ValueError, match=r"shrink: no compression 'rar' is installed. There are gzip, zlib"):

        @task(compression="rar")
        def shrink() -> None: ...

    settings.DJANGO_TASKS = {"TASK_COMPRESSION": "lzm"}
    with pytest.raises(ValueError, match=r"TASK_COMPRESSION'\]: no compression 'lzm' .* mean 'lzma'"):
        send.delay()
