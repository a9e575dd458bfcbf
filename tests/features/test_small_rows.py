"""Rows of the list that no other test is about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kombu
import pytest

from django_tasks import registry
from django_tasks.brokers.handler import broker
from django_tasks.definition import order
from django_tasks.definition.einfo import ExceptionInfo
from django_tasks.message.message import TaskMessage
from tests.ledger.tasks import note
from tests.rows import named_in, report, rows

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.django_db
def test_pool_01_a_thousand_sends_share_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[kombu.Connection] = []
    connect = kombu.Connection.__init__

    def count(connection: kombu.Connection, *args: Any, **kwargs: Any) -> None:
        opened.append(connection)
        connect(connection, *args, **kwargs)

    monkeypatch.setattr(kombu.Connection, "__init__", count)

    for number in range(1_000):
        note.delay(number)

    assert broker().size("default") == 1_000
    assert len(opened) <= 1


def test_exe_17_limits_and_whether_a_result_is_stored_travel_with_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[TaskMessage] = []
    monkeypatch.setattr(order, "send", sent.extend)

    note.apply_async((1,), time_limit=20, soft_time_limit=10, ignore_result=True)

    (message,) = sent
    assert (message.time_limit, message.soft_time_limit, message.ignore_result) == (20, 10, True)


def test_hnd_05_einfo_has_the_exception_its_type_and_the_traceback_as_text() -> None:
    try:
        raise ValueError("bang")
    except ValueError as error:
        einfo = ExceptionInfo(error)

    assert (str(einfo.exception), einfo.type) == ("bang", ValueError)
    assert str(einfo) == einfo.traceback
    assert einfo.traceback.endswith("ValueError: bang\n")
    assert 'raise ValueError("bang")' in einfo.traceback


@pytest.mark.parametrize(
    ("row", "page", "words"),
    [
        ("CAL-08", "howto/from-celery.md", "must have the same code"),
        ("ADV-02", "explanation/good-tasks.md", "## How much in one task"),
        ("ADV-02", "explanation/good-tasks.md", "## Near its data"),
        ("ADV-02", "explanation/good-tasks.md", "## The world may have changed"),
    ],
)
def test_advice_is_given_in_the_documentation(row: str, page: str, words: str) -> None:
    assert words in (DOCS / page).read_text()


def test_blt_01_blt_05_reg_04_built_in_tasks_answer_to_celery_s_names() -> None:
    assert registry.find("celery.ping").name == "django_tasks.ping"
    assert registry.find("celery.backend_cleanup").name == "django_tasks.backend_cleanup"


# -- the list itself


def test_every_line_of_the_list_is_a_row_or_a_comment() -> None:
    lines = (Path(__file__).parents[1] / "rows.txt").read_text().splitlines()
    ids = [line.split()[0] for line in lines if line and not line.startswith("#")]

    assert ids == list(rows())
    assert all(re.fullmatch(r"[A-Z]+-\d\d", id) for id in ids)


def test_a_row_is_named_by_the_name_or_the_text_of_a_test_and_not_by_its_module() -> None:
    kind = "XYZ"
    source = f'''
"""{kind}-01"""

@mark("{kind}-02")
def test_xyz_03_xyz_04_something():
    """{kind}-05"""

class Tests:
    def test_it(self):
        pass  # {kind}-06

def helper():
    """{kind}-07"""
'''

    assert set(named_in(source)) == {f"{kind}-{number:02}" for number in range(2, 7)}


def test_what_no_test_names_is_listed_and_counted() -> None:
    text = report({"A-01": "one", "A-02": "two", "A-03": "three"}, {"A-02"})

    assert text == "A-01     one\nA-03     three\n2 of 3 rows have no test that names them."
