from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from django_tasks.checks import sqlite

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture
def tasks_on(database: Callable[..., None], settings: Settings) -> Callable[..., None]:
    """Puts the tasks on an SQLite database with these values."""

    def put(**values: Any) -> None:
        database("site", **values)
        settings.DJANGO_TASKS = {"DATABASE": "site"}

    return put


@pytest.mark.parametrize("name", [":memory:", "file::memory:?cache=shared", "file:x?mode=memory"])
def test_a_database_in_memory_is_a_warning(tasks_on: Callable[..., None], name: str) -> None:
    tasks_on(NAME=name)

    (warning,) = sqlite.file()

    assert warning.id == "django_tasks.W002"
    assert "'site' is in memory" in warning.msg
    assert "DATABASES['site']['NAME']" in warning.hint


@pytest.mark.parametrize("name", ["/srv/site/db.sqlite3", "file:memorydb_default?mode=memory&cache=shared"])
def test_files_and_the_test_runners_own_databases_are_right(tasks_on: Callable[..., None], name: str) -> None:
    tasks_on(NAME=name)

    assert sqlite.file() == []


@pytest.mark.parametrize(
    ("options", "told", "remedy"),
    [
        ({"init_command": "PRAGMA journal_mode=DELETE"}, "journal_mode to DELETE", "PRAGMA journal_mode=WAL"),
        (
            {"init_command": "PRAGMA foo=1; pragma Journal_Mode = 'truncate';"},
            "journal_mode to truncate",
            "=WAL",
        ),
        ({"init_command": "PRAGMA journal_mode(memory)"}, "journal_mode to memory", "=WAL"),
        ({"timeout": 0}, "timeout to 0 seconds", "Set it to 20"),
        ({"timeout": 0.5}, "timeout to 0.5 seconds", "Set it to 20"),
        ({"transaction_mode": "DEFERRED"}, "transaction_mode to 'DEFERRED'", "'IMMEDIATE'"),
        ({"transaction_mode": None}, "transaction_mode to None", "'IMMEDIATE'"),
    ],
)
def test_options_that_make_processes_fail_on_each_other_are_a_warning(
    tasks_on: Callable[..., None], options: dict[str, Any], told: str, remedy: str
) -> None:
    tasks_on(OPTIONS=options)

    (warning,) = sqlite.options()

    assert warning.id == "django_tasks.W003"
    assert warning.msg.startswith("DATABASES['site']['OPTIONS'] set ")
    assert told in warning.msg
    assert remedy in warning.hint


def test_each_option_is_a_warning_of_its_own(tasks_on: Callable[..., None]) -> None:
    tasks_on(
        OPTIONS={"init_command": "PRAGMA journal_mode=OFF", "timeout": 0, "transaction_mode": "DEFERRED"}
    )

    assert len(sqlite.options()) == 3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        {"transaction_mode": "EXCLUSIVE"},
        {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
        {"init_command": "PRAGMA journal_mode=DELETE; PRAGMA journal_mode=wal"},
        {"init_command": "PRAGMA synchronous=FULL"},
    ],
)
def test_options_that_workers_can_live_with_are_right(
    tasks_on: Callable[..., None], options: dict[str, Any]
) -> None:
    tasks_on(OPTIONS=options)

    assert sqlite.options() == []


def test_a_database_without_tasks_is_not_looked_at(database: Callable[..., None]) -> None:
    database("archive", NAME=":memory:", OPTIONS={"timeout": 0})

    assert sqlite.file() == sqlite.options() == []


def test_the_database_of_the_messages_is_looked_at(database: Callable[..., None], settings: Settings) -> None:
    database("messages", NAME=":memory:")
    settings.DJANGO_TASKS = {"BROKER_URL": "django://messages"}

    (warning,) = sqlite.file()

    assert "'messages'" in warning.msg


def test_another_kind_of_database_has_nothing_to_answer_for(tasks_on: Callable[..., None]) -> None:
    tasks_on(ENGINE="django.db.backends.postgresql", NAME=":memory:", OPTIONS={"timeout": 0})

    assert sqlite.file() == sqlite.options() == []
