"""Sent if and only if committed, and run once (DESIGN §2, promises 1 and 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from django.db import transaction

from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import note, note_again, note_untracked, send_another
from tests.workers import RunningWorker

pytestmark = pytest.mark.worker


class RolledBack(Exception):
    pass


def send(number: int, *, commit: bool) -> None:
    with transaction.atomic():
        note.delay(number)
        if not commit:
            raise RolledBack


@pytest.mark.parametrize(
    "size",
    [
        ("--processes=1",),
        ("--processes=2",),
        ("--processes=4",),
        ("--processes=1", "--threads=8"),
        ("--processes=0",),
    ],
    ids=" ".join,
)
def test_of_a_thousand_tasks_exactly_the_committed_ones_run_each_once(
    run_burst: Callable[..., RunningWorker], size: tuple[str, ...]
) -> None:
    """FEATURES TX-01."""
    for number in range(1000):
        try:
            send(number, commit=number % 3 != 0)
        except RolledBack:
            assert number % 3 == 0

    run_burst(*size)

    committed = [number for number in range(1000) if number % 3]
    assert Counter(Entry.objects.values_list("number", flat=True)) == Counter(committed)
    assert Counter(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS": len(committed)}
    assert not QueuedMessage.objects.exists()


def test_a_doubled_delivery_runs_once(run_burst: Callable[..., RunningWorker]) -> None:
    sent = note.delay(1)
    message = QueuedMessage.objects.get()
    for _ in range(5):
        message.pk = None
        message.save(force_insert=True)

    run_burst("--processes=2")

    assert [entry.task_id for entry in Entry.objects.all()] == [sent.id]
    assert not QueuedMessage.objects.exists()


def test_untracked_tasks_run_once_and_leave_no_row(run_burst: Callable[..., RunningWorker]) -> None:
    for number in range(50):
        note_untracked.delay(number)

    run_burst("--processes=2")

    assert sorted(Entry.objects.values_list("number", flat=True)) == list(range(50))
    assert not TaskResult.objects.exists()
    assert not QueuedMessage.objects.exists()


def test_a_burst_also_runs_what_its_tasks_send(run_burst: Callable[..., RunningWorker]) -> None:
    outer = send_another.delay(7)

    run_burst("--processes=2")

    assert TaskResult.objects.filter(id=outer.get()).get().status == "SUCCESS"
    assert Entry.objects.get().number == 7


def test_the_most_urgent_is_served_first_and_the_rest_in_the_order_sent(
    run_burst: Callable[..., RunningWorker],
) -> None:
    for number, priority in enumerate([5, 0, 9, 0, 5]):
        note_again.apply_async((number,), priority=priority)

    run_burst("--processes=1")

    assert list(Entry.objects.order_by("at").values_list("number", flat=True)) == [1, 3, 0, 4, 2]
