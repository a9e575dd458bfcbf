"""Doing something to many tasks: batch by batch, to those that were meant, and to no other."""

from __future__ import annotations

import datetime as dt
import json
from itertools import chain
from typing import Any

import pytest

from django_tasks import clock, states
from django_tasks.exceptions import EncodeError
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Reported, Request, Succeeded
from django_tasks.models import TaskResult
from django_tasks.steering import bulk, matching, selection
from django_tasks.steering.selection import Selection
from tests.endings import OWNER, in_queues
from tests.ledger.tasks import echo, note

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "BATCH", 3)


def sent(number: int, status: str = states.FAILURE) -> list[str]:
    ids = [result.id for result in note.bulk([(each,) for each in range(number)])]
    TaskResult.objects.filter(id__in=ids).update(status=status)
    return ids


def through_json(chosen: Selection) -> Selection:
    return Selection.read(json.loads(json.dumps(chosen.written())))


def test_all_that_a_list_shows_comes_batch_by_batch_and_once() -> None:
    failed = sent(10)
    sent(4, states.SUCCESS)

    batches = list(through_json(Selection.shown({"status": states.FAILURE})).batches())

    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    assert sorted(chain.from_iterable(batches)) == sorted(failed)


@pytest.mark.parametrize(
    "asked", [{}, {"status": states.FAILURE}, {"queue": "default"}, {"fingerprint": "f"}, {"group_id": "g"}]
)
def test_tasks_of_one_moment_come_once_as_well(asked: dict[str, str]) -> None:
    ids = sent(10)
    moment = clock.to_storage(START)
    TaskResult.objects.update(
        created_at=moment, finished_at=moment, fingerprint="f", group_id="g", group_index=1
    )
    TaskResult.objects.filter(id__in=ids[:5]).update(queue="another" if "queue" not in asked else "default")

    assert sorted(chain.from_iterable(Selection.shown(asked).batches())) == sorted(ids)


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "django_tasks_result_new"),
        ({"status": states.FAILURE}, "django_tasks_result_status"),
        ({"task": note.name}, "django_tasks_result_task"),
        ({"fingerprint": "f"}, "django_tasks_result_failed"),
        ({"group_id": "g"}, "django_tasks_result_group"),
    ],
)
def test_batches_come_in_the_order_of_the_index_that_finds_them(asked: dict[str, str], index: str) -> None:
    """MariaDB, which sorts all or nothing, would sort all that is left for each batch."""
    (fields,) = (each.fields for each in TaskResult._meta.indexes if each.name == index)

    assert fields == [*asked, *matching.order(asked)]


def test_what_is_sent_after_the_choice_is_not_part_of_it() -> None:
    chosen = Selection.shown({"status": states.FAILURE})
    sent(2)
    TaskResult.objects.update(created_at=clock.to_storage(clock.now() + dt.timedelta(hours=1)))

    assert list(chosen.batches()) == []


@pytest.mark.parametrize("asked", [{"window": "24h"}, {"attempts": "1"}, {"q": "arg.number:1"}])
def test_the_last_day_is_the_day_before_the_choice(
    asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = note.apply_async(kwargs={"number": 1}).id
    chosen = Selection.shown(asked)
    later = clock.now() + dt.timedelta(days=3)

    monkeypatch.setattr(clock, "now", lambda: later)

    assert list(chosen.batches()) == [[id]]


def test_what_is_done_to_a_batch_does_not_move_the_next() -> None:
    ids = sent(10, states.PENDING)

    done = bulk.do_to_all("cancel", Selection.shown({"status": states.PENDING}), {}, "seed")

    assert done == (10, 10)
    assert set(TaskResult.objects.filter(id__in=ids).values_list("status", flat=True)) == {states.REVOKED}


def test_sending_again_does_not_send_again_what_it_has_sent() -> None:
    sent(7)
    TaskResult.objects.update(message=TaskResult.objects.all()[0].message)

    done, seen = bulk.do_to_all("retry", Selection.shown({}), {}, "seed")

    assert (done, seen) == (7, 7)
    assert TaskResult.objects.count() == 14


def test_one_that_cannot_be_sent_again_keeps_no_other_from_it(settings: Any) -> None:
    sent(4)
    large = echo.delay("x" * 2_000)
    sent(4)
    TaskResult.objects.update(status=states.FAILURE)
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "MESSAGE_MAX_BYTES": 1_000}

    assert bulk.do_to_all("retry", Selection.shown({}), {}, "seed") == (8, 9)
    with pytest.raises(EncodeError, match="MESSAGE_MAX_BYTES"):
        bulk.do_to_all("retry", Selection.of_ids((large.id,)), {}, "seed")

    assert TaskResult.objects.with_status(states.PENDING).count() == 8


def test_cut_short_and_begun_anew_it_does_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent(7)
    chosen = Selection.shown({"status": states.FAILURE})

    def die(seen: int, done: int) -> None:
        if seen > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.do_to_all("retry", chosen, {}, "seed", die)
    assert bulk.do_to_all("retry", chosen, {}, "seed") == (7, 7)

    assert TaskResult.objects.with_status(states.PENDING).count() == 7


def test_only_what_has_ended_is_deleted() -> None:
    waiting, ended = sent(2, states.PENDING), sent(3)

    assert bulk.do_to_all("delete", Selection.of_ids((*waiting, *ended)), {}, "seed") == (3, 5)
    assert set(TaskResult.objects.values_list("id", flat=True)) == set(waiting)


def test_what_came_of_a_task_is_deleted_to_its_leaves() -> None:
    first, *others = ids = sent(8)
    for parent, child in zip(ids, others, strict=False):
        TaskResult.objects.filter(id=child).update(parent_id=parent)

    assert bulk.do_to_all("delete", Selection.shown({"origin": first}), {}, "seed") == (8, 8)
    assert not TaskResult.objects.exists()


def test_what_runs_is_asked_to_stop_and_what_waits_ends() -> None:
    running, waiting = sent(2, states.PENDING)
    TaskResult.objects.claim([running], OWNER)

    assert bulk.do_to_all("stop", Selection.of_ids((running, waiting)), {}, "seed") == (2, 2)
    assert TaskResult.objects.get(id=running).terminate
    assert TaskResult.objects.get(id=waiting).status == states.REVOKED


def test_the_task_that_does_it_tells_how_far_it_is() -> None:
    from django_tasks.tasks import do_to_all

    sent(7)
    shown: list[Reported] = []
    chosen = Selection.shown({"status": states.FAILURE}).written()
    result = do_to_all.delay("retry", chosen, {}, "seed")
    TaskResult.objects.claim([result.id], OWNER)
    message = next(message for message in in_queues() if message.id == result.id)

    outcome = execute(
        Request(message=message, worker="worker@test", owner=OWNER), is_eager=True, report=shown.append
    )

    assert isinstance(outcome, Succeeded)
    assert json.loads(outcome.result or "") == {"done": 7, "total": 7}
    told = [json.loads(reported.text) for reported in shown]
    assert [meta["current"] for meta in told] == [3, 6, 7]
    assert {(reported.state, meta["total"]) for reported, meta in zip(shown, told, strict=True)} == {
        ("PROGRESS", 7)
    }
