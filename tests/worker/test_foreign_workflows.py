"""Celery's own tasks for workflows, as a foreign program may send them by their names (FEATURES BLT-06)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from django_tasks import app, group, result_from_tuple, uuid
from django_tasks.exceptions import ChordError
from django_tasks.models import TaskResult
from tests.ledger.tasks import add, constant, elsewhere, fail, nap, total
from tests.workers import RunningWorker

pytestmark = pytest.mark.worker
Run = Callable[..., RunningWorker]


def as_dict(sig: Any) -> Any:
    """A signature as it arrives."""
    return json.loads(json.dumps(sig))


def send(name: str, *args: Any, **kwargs: Any) -> Any:
    return app.send_task(f"celery.{name}", args, as_dict(kwargs))


def found(sent: Any) -> Any:
    """The result of the workflow that a task sent."""
    return result_from_tuple(sent.get(timeout=0)).get(timeout=0)


def test_blt_06_workflows_that_come_as_one_task_are_sent(run_burst: Run) -> None:
    members = [add.s(1).set(task_id=uuid()), add.s(2).set(task_id=uuid())]
    group_id = uuid()
    of_chunks = send("chunks", task=add.s(), it=[[1, 1], [2, 2], [3, 3]], n=2)
    of_group = send("group", tasks=members, result=None, group_id=group_id, partial_args=[10])
    of_chord = send("chord", header=[add.s(1), add.s(2)], body=total.s(), partial_args=[10], countdown=1)
    of_frozen = send("chord", header=group(constant.s(1), constant.s(2)), body=total.s(), kwargs={})

    run_burst()

    assert found(of_chunks) == [[2, 4], [6]]
    assert found(of_group) == [11, 12]
    assert result_from_tuple(of_group.get()).id == group_id
    assert [member.id for member in result_from_tuple(of_group.get()).results] == [sig.id for sig in members]
    assert found(of_chord) == 23
    assert found(of_frozen) == 3


def test_blt_06_parts_of_workflows_are_tasks(run_burst: Run) -> None:
    sent = {
        "accumulate": send("accumulate", 1, 2),
        "accumulate one": send("accumulate", [1, 2], index=0),
        "map": send("map", task=total.s(), it=[[1, 2], [3, 4]]),
        "starmap": send("starmap", task=add.s(), it=[[1, 2], [3, 4]]),
        "map of a coroutine": send("map", task=nap.s(), it=[0, 0]),
    }

    run_burst("--processes=1")

    results = {name: result.get(timeout=0) for name, result in sent.items()}
    assert isinstance(results["map of a coroutine"][0], int)
    del results["map of a coroutine"]
    assert results == {"accumulate": [1, 2], "accumulate one": [1, 2], "map": [3, 7], "starmap": [3, 7]}


def test_blt_06_a_chain_is_no_task(run_burst: Run) -> None:
    """In Celery neither."""
    chained = send("chain", tasks=[add.s(1, 2), add.s(3)])

    run_burst()

    assert chained.state == "FAILURE"
    with pytest.raises(NotImplementedError, match="Send its first step"):
        chained.get(timeout=0)


def test_a_map_goes_to_the_queue_of_its_task(run_burst: Run) -> None:
    sent = elsewhere.map([1, 2]).delay()

    run_burst("--queues=other")

    assert sent.get(timeout=0) == [1, 2]
    assert TaskResult.objects.get(id=sent.id).queue == "other"


def test_a_chord_that_comes_as_one_task_fails_with_its_header(run_burst: Run) -> None:
    sent = send("chord", header=[constant.s(1), fail.s("bang")], body=total.s())

    run_burst()

    with pytest.raises(ChordError, match="bang"):
        found(sent)
