"""Times, texts and badges: values in, HTML out."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest
from django.utils import translation

from django_tasks import states
from django_tasks.admin import badges, texts, times

if TYPE_CHECKING:
    from pytest_django import Settings

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_tasks.clock.now", lambda: NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (2.14, "2.1 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (362, "6 min 02 s"),
        (3 * 3600 + 5 * 60, "3 h 05 min"),
        (2 * 86400 + 3 * 3600 + 59, "2 d 3 h"),
        (-0.3, "0 ms"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert times.span(dt.timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "3 s ago"), (119, "1 min ago"), (7300, "2 h ago"), (90_000 * 24, "25 d ago"), (-25, "in 25 s")],
)
def test_a_moment_is_told_by_its_distance(seconds: int, words: str) -> None:
    assert f">{words}</time>" in str(times.moment(NOW - dt.timedelta(seconds=seconds)))


def test_the_exact_time_is_in_the_tooltip_in_the_time_zone_of_the_site(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"

    assert 'title="2026-03-01T17:29:57.250+05:30"' in str(times.moment(NOW - dt.timedelta(seconds=2.75)))


def test_a_naive_moment_is_one_of_the_projects_time_zone(settings: Settings) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Kolkata"

    assert ">1 min ago</time>" in str(times.moment(dt.datetime(2026, 3, 1, 17, 29)))


def test_no_moment_and_no_span_are_a_dash() -> None:
    assert times.moment(None) == times.exact(None) == times.span(None) == times.NOTHING


def test_numbers_are_written_as_the_language_does() -> None:
    with translation.override("de"):
        assert times.span(dt.timedelta(seconds=2.14)) == "2,1 s"


def test_a_very_long_text_keeps_its_beginning_and_its_end() -> None:
    html = str(texts.block("a" + "x" * 500_000 + "z"))

    assert len(html) < 101_000
    assert html.startswith('<pre class="tasks-block">ax')
    assert "… 400002 characters are left out …" in html
    assert html.endswith("xz</pre>")


@pytest.mark.parametrize("text", ["", "no json", "{", "[" * 200_000, "NaN,", '"\ud800"'])
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert texts.pretty(text) == text


def test_letters_stay_readable_in_json() -> None:
    assert texts.pretty(json.dumps({"Straße": "中"})) == '{\n  "Straße": "中"\n}'


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"exc_type": "ValueError", "exc_module": "builtins", "exc_message": ["no"]}, "ValueError: no"),
        ({"exc_type": "Stop", "exc_module": "a.b", "exc_message": []}, "a.b.Stop"),
        ({"exc_type": "Foreign", "exc_message": "text"}, "Foreign: text"),
        ({"exc_type": "Foreign", "exc_module": None, "exc_message": None}, "Foreign"),
    ],
)
def test_an_exception_is_told_as_python_tells_it(record: dict[str, object], words: str) -> None:
    assert texts.pretty(json.dumps(record)) == words


@pytest.mark.parametrize("status", sorted(states.ALL_STATES - {states.RECEIVED, states.REJECTED}))
def test_each_status_has_a_colour_a_sign_and_a_word(status: str) -> None:
    html = badges.of_status(status)

    assert 'class="tasks-badge tasks-' in html
    assert 'aria-hidden="true">' in html
    assert status.capitalize() in html


def test_a_state_that_a_project_made_up_is_shown_as_it_is() -> None:
    assert "UPLOADING" in badges.of_status("UPLOADING")
