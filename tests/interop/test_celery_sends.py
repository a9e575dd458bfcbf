"""What a real Celery program sends is run by our worker, over RabbitMQ and over Redis."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import celery
import pytest

from django_tasks import clock, states
from django_tasks.brokers.handler import broker as our_broker
from django_tasks.exceptions import ChordError
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import (
    add,
    constant,
    echo,
    fail,
    note,
    note_untracked,
    note_value,
    on_error_id,
    show_limits,
    succeed_at,
    take_anything,
    total,
    who,
)
from tests.workers import RunningWorker, eventually, status

from .conftest import OURS, RICH, Program, result_of

pytestmark = pytest.mark.worker


def message_of(id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TaskResult.objects.get(id=id).message)
    return found


def test_arguments_arrive_as_they_were(our_worker: RunningWorker, celery_program: Program) -> None:
    positional = celery_program(echo, RICH).apply_async()
    named = celery_program(take_anything, 1, kwargs={"rich": RICH, "größe": 2}).apply_async()

    assert result_of(positional.id) == RICH
    assert result_of(named.id) == {"rich": RICH, "größe": 2}


def test_a_countdown_is_waited_for(our_worker: RunningWorker, celery_program: Program) -> None:
    before = clock.now()

    sent = celery_program(note, 1).apply_async(countdown=2)

    assert result_of(sent.id) == 1
    assert Entry.objects.get().at >= before.timestamp() + 2


def test_what_is_due_next_month_keeps_nobody_waiting(
    our_worker: RunningWorker, celery_program: Program
) -> None:
    later = celery_program(note, 1).apply_async(eta=clock.now() + dt.timedelta(days=30))
    now = celery_program(note, 2).apply_async()

    assert result_of(now.id) == 2

    parked: Any = eventually(QueuedMessage.objects.first, "it is parked")
    assert parked.state == QueuedMessage.State.PARKED
    assert status(later.id) == states.PENDING
    assert our_broker().is_empty([OURS])


def test_what_has_expired_is_not_run(our_worker: RunningWorker, celery_program: Program) -> None:
    """On RabbitMQ it may expire in the queue, and then nobody hears of it."""
    expired = celery_program(note, 1).apply_async(expires=clock.now() - dt.timedelta(seconds=1))
    good = celery_program(note, 2).apply_async(expires=600)

    assert result_of(good.id) == 2

    assert Entry.objects.get().number == 2
    assert TaskResult.objects.filter(id=expired.id).exclude(status=states.REVOKED).count() == 0


def test_a_retry_is_the_same_task(our_worker: RunningWorker, celery_program: Program) -> None:
    sent = celery_program(succeed_at, 2).apply_async(headers={"x-tenant": "acme"}, priority=3)

    assert result_of(sent.id) == 2
    row = TaskResult.objects.get(id=sent.id)
    assert (row.retries, row.priority) == (2, 3)
    assert message_of(sent.id)["headers"]["x-tenant"] == "acme"


def test_links_are_called(our_worker: RunningWorker, celery_program: Program) -> None:
    celery_program(add, 1, 2).apply_async(link=celery_program(note_value))
    failed = celery_program(fail, "bang").apply_async(link_error=celery_program(on_error_id))

    eventually(lambda: Entry.objects.count() == 2, "both links have run")
    assert {entry.task_id for entry in Entry.objects.filter(number=0)} == {f"failed {failed.id}"}
    assert Entry.objects.exclude(number=0).get().number == 3


def test_a_chain_is_gone_along(our_worker: RunningWorker, celery_program: Program) -> None:
    sent = celery.chain(
        celery_program(add, 1, 2), celery_program(add, 3), celery_program(add, 4, 5).set(immutable=True)
    ).apply_async()
    family = celery.chain(celery_program(constant, 1), celery_program(who)).apply_async()

    assert result_of(sent.id) == 9
    assert result_of(sent.parent.id) == 6
    row = TaskResult.objects.get(id=sent.id)
    assert (row.parent_id, row.root_id) == (sent.parent.id, sent.parent.parent.id)
    eventually(TaskResult.objects.filter(id=family.id).final().exists, "the other chain has ended")


def test_members_of_a_group_know_their_group(our_worker: RunningWorker, celery_program: Program) -> None:
    sent = celery.group(celery_program(add, number, 1) for number in range(5)).apply_async()

    assert [result_of(member.id) for member in sent.children] == [1, 2, 3, 4, 5]
    rows = TaskResult.objects.filter(group_id=sent.id).order_by("group_index")
    assert [row.id for row in rows] == [member.id for member in sent.children]


def test_a_chord_whose_unlock_is_ours_to_run_ends(our_worker: RunningWorker, celery_program: Program) -> None:
    good = celery.chord(
        [celery_program(add, number, 1) for number in range(5)], celery_program(total)
    ).apply_async()
    bad = celery.chord(
        [celery_program(add, 1, 1), celery_program(fail, "bang")], celery_program(total)
    ).apply_async()
    inside = celery.chain(
        celery_program(add, 1, 1),
        celery.group(celery_program(add, 1), celery_program(add, 2)),
        celery_program(total),
    ).apply_async()

    assert result_of(good.id) == 15
    assert result_of(inside.id) == 7
    with pytest.raises(ChordError, match="bang"):
        result_of(bad.id)


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_compressed_messages_are_read(
    our_worker: RunningWorker, celery_program: Program, compression: str
) -> None:
    sent = celery_program(echo, "ü" * 10_000).apply_async(compression=compression)

    assert result_of(sent.id) == "ü" * 10_000


def test_messages_of_protocol_1_are_read(our_worker: RunningWorker, celery_program: Program) -> None:
    celery_program.app.conf.task_protocol = 1

    plain = celery_program(add, 1).apply_async(kwargs={"y": 2})
    linked = celery_program(add, 1, 2).apply_async(link=celery_program(note_value))
    late = celery_program(note, 7).apply_async(countdown=1)

    assert result_of(plain.id) == 3
    assert result_of(linked.id) == 3
    assert result_of(late.id) == 7
    eventually(lambda: Entry.objects.filter(number=3).exists(), "the link has run")


def test_a_message_that_wants_no_result_leaves_none(
    our_worker: RunningWorker, celery_program: Program
) -> None:
    unwanted = celery_program(note, 1).apply_async(ignore_result=True)
    never = celery_program(note_untracked, 2).apply_async()
    wanted = celery_program(note_untracked, 3).apply_async(ignore_result=False)

    eventually(lambda: Entry.objects.count() == 3, "all have run")
    eventually(TaskResult.objects.final().exists, "the one that is wanted has ended")
    assert not TaskResult.objects.filter(id__in=[unwanted.id, never.id]).exists()
    assert status(wanted.id) == states.SUCCESS


def test_time_limits_of_the_call_count(our_worker: RunningWorker, celery_program: Program) -> None:
    sent = celery_program(show_limits).apply_async(time_limit=500, soft_time_limit=50)

    assert result_of(sent.id) == [500, 50]


def test_what_cannot_be_run_is_set_aside_and_the_rest_goes_on(
    our_worker: RunningWorker, celery_program: Program
) -> None:
    celery_program("shop.nobody_has_it").apply_async()
    celery_program(note, 1).apply_async(serializer="pickle")
    good = celery_program(note, 2).apply_async()

    assert result_of(good.id) == 2

    eventually(lambda: QueuedMessage.objects.aside().count() == 2, "both are set aside")
    reasons = " ".join(QueuedMessage.objects.aside().values_list("reason", flat=True))
    assert "shop.nobody_has_it" in reasons
    assert "ACCEPT_CONTENT" in reasons
    assert Entry.objects.get().number == 2
