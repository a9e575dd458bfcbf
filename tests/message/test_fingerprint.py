"""Which failures are the same one, and which are not."""

from __future__ import annotations

import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_tasks.message.errors import Told, tell, write_error
from django_tasks.message.fingerprint import LENGTH, fingerprint, normal, place

TASK = "shop.tasks.pay"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/releases/41/shop/tasks.py", line 12, in pay
    charge(order)
  File "/srv/releases/41/shop/payment.py", line 40, in charge
    json.loads(answer)
  File "/usr/lib/python3/dist-packages/requests/api.py", line 7, in get
    raise ConnectionError
ConnectionError: no"""


def of(error: BaseException, task: str = TASK, text: str = TRACEBACK) -> str:
    return fingerprint(task, tell(write_error(error)), text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Order 17 is closed", "Order 4711 is closed"),
        ("took 1.5 s on 2026-03-01", "took 20 s on 2026-11-20"),
        ("no route to 10.0.0.17:80", "no route to 192.168.1.2:8080"),
        ("<Order at 0x7f00ab>", "<Order at 0x9e11>"),
        ("user 0190c5a2-7f3e-7bb1-9c1d-0242ac120002", "user 5f0f8a52-aaaa-4bbb-8ccc-0123456789ab"),
        ("blob da39a3ee5e6b4b0d is gone", "blob 0beec7b5ea3f0fdb is gone"),
        ("no file 'a.png' here", "no file 'b c.png' here"),
        ('no file "a.png" here', 'no file "it\'s.png" here'),
    ],
)
def test_what_differs_from_run_to_run_makes_no_other_failure(one: str, other: str) -> None:
    assert of(ValueError(one)) == of(ValueError(other))


@pytest.mark.parametrize(("one", "other"), [("can't pay", "can't ship"), ("decade", "facade"), ("", "x")])
def test_other_words_are_another_failure(one: str, other: str) -> None:
    assert of(ValueError(one)) != of(ValueError(other))


def test_another_exception_task_or_place_is_another_failure() -> None:
    elsewhere = TRACEBACK.replace("in charge", "in refund")

    assert (
        len(
            {
                of(ValueError("x")),
                of(TypeError("x")),
                of(ValueError("x"), "other"),
                of(ValueError("x"), text=elsewhere),
            }
        )
        == 4
    )


def test_a_line_added_above_or_another_release_is_no_other_failure() -> None:
    moved = TRACEBACK.replace("line 40", "line 41").replace("releases/41", "releases/42")

    assert of(ValueError("x"), text=moved) == of(ValueError("x"))


def test_all_missing_keys_are_one_failure_where_they_are_missed() -> None:
    assert of(KeyError("anna")) == of(KeyError("berta"))


def test_the_place_is_the_innermost_of_the_projects_own_code() -> None:
    assert place(TRACEBACK) == "shop/payment.py:charge"


def test_of_a_chain_of_exceptions_the_last_one_counts() -> None:
    first = TRACEBACK.replace("in charge", "in open")

    assert place(f"{first}\n\nDuring handling of the above …\n\n{TRACEBACK}") == "shop/payment.py:charge"


def test_a_real_traceback_is_read_past_the_standard_library() -> None:
    try:
        json.loads("{")
    except ValueError:
        text = traceback.format_exc()

    assert place(text).endswith("test_a_real_traceback_is_read_past_the_standard_library")


def test_without_a_traceback_there_is_still_a_fingerprint() -> None:
    assert len(of(ValueError("x"), text="")) == LENGTH


def test_what_is_no_exception_is_taken_as_words() -> None:
    assert tell("[1]") == Told(kind="", said="[1]")
    assert str(tell(write_error(OSError(2, "gone")))) == "FileNotFoundError: 2, gone"


@given(st.text(), st.text())
def test_whatever_was_said_there_is_a_fingerprint(said: str, traced: str) -> None:
    key = fingerprint(TASK, Told(kind="X", said=said), traced)

    assert len(key) == LENGTH
    assert normal(normal(said)) == normal(normal(normal(said)))
