"""Workflows that travel as something else than JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import chord, group
from tests.ledger.tasks import add, become, constant, echo, fail, on_error_id, total
from tests.workers import RunningWorker

pytestmark = pytest.mark.worker
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.worker.accepting_settings"}


@pytest.mark.parametrize("serializer", ["yaml", "msgpack"])
def test_ser_01_can_02_a_workflow_travels_in_each_serializer(
    run_burst: Callable[..., RunningWorker], serializer: str
) -> None:
    """In messages as what follows a task, and as an argument."""
    pytest.importorskip(serializer)
    chain: Any = add.s(1, 2) | add.s(3) | group(add.s(1), add.s(2))
    header = [constant.s(1), add.s(1, 1) | add.s(1)]

    sent = {
        "a chain": chain.apply_async(serializer=serializer),
        "a chord": chord(header, total.s()).apply_async(serializer=serializer),
        "a link": add.apply_async((1, 1), link=add.s(5), serializer=serializer),
        "an argument": become.apply_async((chain,), serializer=serializer),
        "deep in one": echo.apply_async(({"next": [add.s(1)]},), serializer=serializer),
    }
    failed = fail.apply_async(("bang",), link_error=on_error_id.s(), serializer=serializer)
    run_burst("--processes=1", **SETTINGS)

    found = {name: result.get(timeout=0) for name, result in sent.items()}
    assert found.pop("deep in one")["next"][0]["args"] == [1]
    assert found == {"a chain": [7, 8], "a chord": 4, "a link": 2, "an argument": [7, 8]}
    assert [child.get(timeout=0) for child in sent["a link"].children] == [7]
    assert [child.state for child in failed.children] == ["SUCCESS"]
