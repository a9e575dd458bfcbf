"""Exceptions as data, and back."""

from __future__ import annotations

import json

import pytest

from django_tasks.message.errors import read_error, write_error


class Wants(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("only this is kept")


def again(error: BaseException) -> BaseException:
    return read_error(json.loads(write_error(error)))


def test_a_loaded_class_is_rebuilt_with_its_arguments() -> None:
    assert repr(again(KeyError("x", 1))) == "KeyError('x', 1)"


def test_a_class_that_wants_other_arguments_is_stood_in_for_by_its_name() -> None:
    error = again(Wants(1, 2))

    assert (type(error).__name__, str(error)) == ("Wants", "only this is kept")


def test_an_unknown_class_is_stood_in_for_and_nothing_is_imported() -> None:
    error = read_error({"exc_type": "Popen", "exc_module": "no.such.module", "exc_message": ["x"]})

    assert (type(error).__name__, type(error).__module__, error.args) == ("Popen", "no.such.module", ("x",))


@pytest.mark.parametrize("name", ["system", "environ", "path.join"])
def test_what_is_no_exception_is_never_called(name: str) -> None:
    error = read_error({"exc_type": name, "exc_module": "os", "exc_message": ["true"]})

    assert isinstance(error, Exception)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_would_end_the_process_of_who_asks_is_raised_as_an_ordinary_exception(kind: type) -> None:
    error = again(kind("bye"))

    assert isinstance(error, Exception)
    assert type(error).__name__ == kind.__name__


def test_arguments_that_json_cannot_carry_are_shown_instead() -> None:
    assert "object object" in str(again(ValueError(object())))


@pytest.mark.parametrize("stored", [None, 5, [], {}, {"exc_type": None}])
def test_a_record_of_another_shape_is_some_exception(stored: object) -> None:
    assert isinstance(read_error(stored), Exception)
