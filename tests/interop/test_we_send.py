"""What we send is run by real Celery's worker, over RabbitMQ and over Redis."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from django_tasks import app, chain, chord, clock, group, states
from django_tasks.brokers.handler import broker as our_broker
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import add, constant, note_value, on_error_id, total, who
from tests.workers import RunningWorker, eventually, status

from .conftest import RICH, THEIRS, Program, back, result_of, theirs

pytestmark = pytest.mark.worker


def send(name: str, *args: Any, kwargs: Any = None, **options: Any) -> Any:
    """By name, without the code."""
    return app.send_task(name, args, kwargs, queue=THEIRS, **options)


def test_arguments_arrive_as_they_were(their_worker: None, celery_program: Program) -> None:
    sent = send("peer.echo", RICH, 1, kwargs={"rich": RICH, "größe": 2})

    assert celery_program.result(sent.id) == [[RICH, 1], {"rich": RICH, "größe": 2}]
    assert status(sent.id) == states.PENDING, "its end is known there, not here"


def test_options_of_the_call_arrive(their_worker: None, celery_program: Program) -> None:
    expires = clock.now() + dt.timedelta(hours=1)

    sent = send(
        "peer.request",
        time_limit=500,
        soft_time_limit=50,
        priority=3,
        expires=expires,
        headers={"x-tenant": "acme"},
    )

    found = celery_program.result(sent.id)
    assert found["id"] == found["root_id"] == sent.id
    assert found["timelimit"] == [500, 50]
    assert found["priority"] == 3
    assert found["tenant"] == "acme"
    assert (found["retries"], found["ignore_result"], found["group"]) == (0, False, None)
    assert dt.datetime.fromisoformat(found["expires"]) == expires


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "lzma"])
def test_compressed_messages_are_read(their_worker: None, celery_program: Program, compression: str) -> None:
    sent = send("peer.echo", "ü" * 10_000, compression=compression)

    assert celery_program.result(sent.id) == [["ü" * 10_000], {}]


def test_a_countdown_is_waited_for_here(
    their_worker: None, our_worker: RunningWorker, celery_program: Program
) -> None:
    sent = send("peer.request", countdown=2)

    assert QueuedMessage.objects.get().state == QueuedMessage.State.PARKED
    assert our_broker().is_empty([THEIRS])
    found = celery_program.result(sent.id)
    assert dt.datetime.fromisoformat(found["eta"]) <= clock.now()


def test_what_has_expired_is_not_run(their_worker: None, celery_program: Program) -> None:
    expired = send("peer.echo", 1, expires=clock.now() - dt.timedelta(seconds=1))
    good = send("peer.echo", 2, expires=600)

    assert celery_program.result(good.id) == [[2], {}]
    assert celery_program.app.AsyncResult(expired.id).state in ("PENDING", "REVOKED")


def test_a_retry_of_theirs_ends_well(their_worker: None, celery_program: Program) -> None:
    sent = send("peer.try", 2)

    assert celery_program.result(sent.id) == 2


def test_what_wants_no_result_leaves_none_anywhere(their_worker: None, celery_program: Program) -> None:
    unwanted = send("peer.echo", 1, ignore_result=True)
    wanted = send("peer.echo", 2)

    assert celery_program.result(wanted.id) == [[2], {}]
    assert celery_program.app.AsyncResult(unwanted.id).state == "PENDING"
    assert list(TaskResult.objects.values_list("id", flat=True)) == [wanted.id]


def test_links_lead_back_to_us(their_worker: None, our_worker: RunningWorker) -> None:
    theirs("peer.double", 4).apply_async(link=back(note_value))
    failed: Any = theirs("peer.break", 4).apply_async(link_error=back(on_error_id))

    eventually(lambda: Entry.objects.count() == 2, "both links have run")
    assert set(Entry.objects.values_list("number", flat=True)) == {8, 0}
    assert Entry.objects.get(number=0).task_id == f"failed {failed.id}"


def test_a_chain_goes_there_and_back(their_worker: None, our_worker: RunningWorker) -> None:
    sent: Any = chain(
        add.s(1, 3), theirs("peer.double"), back(add, 1), theirs("peer.double"), back(add, 2)
    ).delay()
    family: Any = chain(constant.s(1), theirs("peer.request"), back(who)).delay()

    assert result_of(sent.id) == 20
    third, second, first = family.id, family.parent.id, family.parent.parent.id
    assert result_of(third) == {"id": third, "root": first, "parent": second, "group": None}


def test_members_of_a_group_know_their_place(their_worker: None, celery_program: Program) -> None:
    sent: Any = group(theirs("peer.request") for _ in range(3)).delay()

    found = [celery_program.result(member.id) for member in sent.results]
    assert [(one["group"], one["group_index"]) for one in found] == [(sent.id, n) for n in range(3)]


def test_a_chord_of_ours_has_a_body_of_theirs(their_worker: None, our_worker: RunningWorker) -> None:
    body = theirs("peer.sum").set(link=back(note_value))

    chord([add.s(number, 1) for number in range(5)], body).delay()

    eventually(Entry.objects.exists, "what the body is linked to has run")
    assert Entry.objects.get().number == 15


def test_a_chord_that_celery_s_worker_sends_for_us_is_run_here(
    their_worker: None, our_worker: RunningWorker
) -> None:
    """Their worker has the step before it, so it sends the header, and an unlock to the queue of the body."""
    sent: Any = chain(theirs("peer.double", 4), group(back(add, 1), back(add, 2)), back(total)).delay()

    assert result_of(sent.id) == 19
