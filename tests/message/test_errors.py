"""Exceptions as data, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType
from typing import ClassVar

import pytest

from django_tasks.message.errors import read_error, write_error


class Wants(Exception):
    class Inner(Exception):
        pass

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


class Trap:
    """What is read of it leaves a trace."""

    touched: ClassVar[list[str]] = []

    @property
    def error(self) -> type[Exception]:
        self.touched.append("property")
        return ValueError


@pytest.mark.parametrize(
    "name", ["lazy", "TRAP.error", "TRAP.__class__", "subprocess.SubprocessError", "Trap.error.fget"]
)
def test_looking_for_a_class_runs_nothing_and_leaves_its_module(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A lazy module imports what it is asked for; other objects do what they like."""
    module = ModuleType("trapped")
    module.__dict__.update(TRAP=Trap(), Trap=Trap, subprocess=subprocess, __getattr__=Trap.touched.append)
    monkeypatch.setitem(sys.modules, "trapped", module)

    error = read_error({"exc_type": name, "exc_module": "trapped", "exc_message": ["x"]})

    assert Trap.touched == []
    assert type(error).__module__ == "trapped"


def test_a_class_within_a_class_is_found() -> None:
    error = again(Wants.Inner("x"))

    assert type(error) is Wants.Inner


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
