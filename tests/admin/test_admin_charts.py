"""Charts: drawings that everybody can read, and that say what they were given."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from django_tasks.admin.charts import HEIGHT, Bar, bars, histogram, sparkline

numbers = st.floats(0, 1e12, allow_nan=False)


def drawn(markup: str) -> ET.Element:
    """Well-formed, or this raises."""
    return ET.fromstring(markup)


def rects(markup: str, tone: str) -> list[ET.Element]:
    return drawn(markup).findall(f".//rect[@class='tasks-fill-{tone}']")


def two_bars() -> str:
    several = [
        Bar(label="12:00: 3", parts=(("good", 3), ("bad", 1))),
        Bar(label="12:01: 2", parts=(("good", 2), ("bad", 0))),
    ]
    return bars(several, title="Throughput", description="Tasks that ended")


def test_bars_are_as_high_as_what_they_stand_for() -> None:
    good = rects(two_bars(), "good")

    assert [float(rect.attrib["height"]) for rect in good] == [75, 50]


def test_parts_stand_on_each_other_and_what_is_nothing_is_not_drawn() -> None:
    (bad,) = rects(two_bars(), "bad")

    assert (float(bad.attrib["y"]), float(bad.attrib["height"])) == (0, 25)


def test_little_beside_much_can_still_be_seen() -> None:
    several = [Bar(label="", parts=(("bad", 1),)), Bar(label="", parts=(("bad", 1_000_000),))]

    first, _ = rects(bars(several, title="", description=""), "bad")

    assert float(first.attrib["height"]) > 0


def test_who_does_not_see_a_chart_is_told_what_it_shows() -> None:
    svg = drawn(two_bars())

    title, description = svg.attrib["aria-labelledby"].split()
    told = {element.attrib.get("id"): element.text for element in svg}
    assert svg.attrib["role"] == "img"
    assert (told[title], told[description]) == ("Throughput", "Tasks that ended")


def test_each_bar_tells_its_numbers() -> None:
    assert [group.findtext("title") for group in drawn(two_bars()).iter("g")] == ["12:00: 3", "12:01: 2"]


@pytest.mark.parametrize(
    "markup",
    [
        two_bars(),
        sparkline([1, 2, 3], title="x"),
        histogram([1], ["x"], title="x", description=""),
    ],
)
def test_nothing_in_a_chart_needs_a_style_or_a_script(markup: str) -> None:
    assert not re.search(r"style|script|\son\w+=", markup)


def test_what_tasks_are_called_is_escaped() -> None:
    hostile = '"><script>alert(1)</script>'

    markup = bars([Bar(label=hostile, parts=(("good", 1),))], title=hostile, description=hostile)

    assert "<script" not in markup
    assert drawn(markup).findtext("title") == hostile


def test_the_same_values_are_the_same_text() -> None:
    assert two_bars() == two_bars()


@pytest.mark.parametrize("markup", [bars([], title="", description=""), sparkline([], title="")])
def test_of_nothing_there_is_an_empty_chart(markup: str) -> None:
    assert drawn(markup).tag == "svg"


def test_a_histogram_shows_the_buckets_between_the_first_and_the_last_that_have_any() -> None:
    markup = histogram([0, 4, 0, 2, 0], ["a", "b", "c", "d", "e"], title="", description="")

    assert [group.findtext("title") for group in drawn(markup).iter("g")] == ["b", "c", "d"]


def test_numbers_are_written_as_svg_reads_them_whatever_the_language() -> None:
    with translation.override("de"):
        assert "33.33" in sparkline([1, 3], title="")


@given(st.lists(st.tuples(numbers, numbers), max_size=70))
def test_no_bar_leaves_the_drawing(values: list[tuple[float, float]]) -> None:
    several = [Bar(label="x", parts=(("good", good), ("bad", bad))) for good, bad in values]

    for rect in drawn(bars(several, title="", description="")).iter("rect"):
        top, height = float(rect.attrib.get("y", 0)), float(rect.attrib["height"])
        assert top >= 0
        assert top + height <= HEIGHT + 2.1
