"""DATABASE_URL, and what each kind of database is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from testproject.settings import BASE_DIR, database


def test_without_a_url_it_is_a_file_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)

    found = database()

    assert (found["ENGINE"], Path(found["NAME"])) == ("django.db.backends.sqlite3", BASE_DIR / "db.sqlite3")


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("sqlite:////tmp/blog.sqlite3", "django.db.backends.sqlite3"),
        ("psql://blog:pw@localhost:5433/blog", "django.db.backends.postgresql"),
        ("mysql://blog:pw@127.0.0.1:3307/blog", "django.db.backends.mysql"),
    ],
)
def test_a_request_is_a_transaction_on_every_database(
    monkeypatch: pytest.MonkeyPatch, url: str, engine: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)

    found = database()

    assert found["ENGINE"] == engine
    assert found["ATOMIC_REQUESTS"] is True


def test_sqlite_waits_its_turn_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////tmp/blog.sqlite3")

    options = database()["OPTIONS"]

    assert options["timeout"] >= 5
    assert options["transaction_mode"] == "IMMEDIATE"


def test_options_of_the_url_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://blog:pw@127.0.0.1/blog?charset=latin1")

    assert database()["OPTIONS"]["charset"] == "latin1"
