"""The points at which processes are made to die are still there: `make chaos` would say so too, but late."""

from __future__ import annotations

from pathlib import Path

import pytest

from .crashes import LEFT_BY_SENDERS, rounds
from .points import POINTS, Folder
from .sender import WAYS


@pytest.mark.parametrize("name", POINTS)
def test_each_point_is_a_function_of_the_product(name: str) -> None:
    owner, attribute, function = POINTS[name].find()

    assert callable(function)
    assert getattr(owner, attribute) is function


def test_rounds_and_senders_name_points() -> None:
    named = {name for round in rounds() for name in (round.first, round.point) if name}

    assert named | LEFT_BY_SENDERS.keys() <= POINTS.keys()
    assert LEFT_BY_SENDERS.keys() == WAYS.keys()


def test_of_all_who_come_to_an_armed_point_one_dies(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.arm("body returned")

    assert [folder.disarm("body returned") for _ in range(3)] == [True, False, False]
    assert folder.has_died("body returned")
