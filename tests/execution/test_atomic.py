"""Atomic tasks in one process: what commits together, what rolls back, what is refused (DESIGN §2)."""

from __future__ import annotations

import logging

import pytest
from django.db import connection, transaction
from django.test import override_settings

from django_tasks import Task, task
from django_tasks.exceptions import UnknownOption
from django_tasks.execution import journal
from django_tasks.execution.executor import execute
from django_tasks.execution.outcome import Failed, Ignored, Outcome, Request, Retried, Settled
from django_tasks.execution.settlement import settle
from django_tasks.message.message import Envelope
from django_tasks.message.protocol2 import decode
from django_tasks.models import TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import end_atomically, note_atomically, told_atomically

OWNER = "worker.1"


def run(sent_id: str) -> Outcome:
    """Claim the task and run it, as a task process does."""
    TaskResult.objects.claim([sent_id], OWNER)
    row = TaskResult.objects.get(id=sent_id)
    message = decode(Envelope.from_text(row.message), queue=row.queue, accept={"json"})
    return execute(Request(message=message, worker="worker@here", owner=OWNER))


def sent_inside() -> int:
    return TaskResult.objects.filter(task="tests.ledger.tasks.note").count()


@pytest.mark.django_db(transaction=True)
def test_the_effects_the_result_and_the_ending_are_there_when_the_body_has_returned() -> None:
    sent = note_atomically.delay(3)

    outcome = run(sent.id)

    row = TaskResult.objects.get(id=sent.id)
    assert isinstance(outcome, Settled)
    assert (row.status, row.result, row.claimed_by) == ("SUCCESS", "3", None)
    assert Entry.objects.filter(task_id=sent.id).count() == 1
    assert sent.get(timeout=1) == 3


@pytest.mark.django_db(transaction=True)
def test_what_is_settled_already_is_not_settled_again(caplog: pytest.LogCaptureFixture) -> None:
    outcome = run(note_atomically.delay().id)
    written, _ = journal.write(outcome)
    _, read = journal.read(written, "worker@here")

    assert isinstance(read, Settled)
    assert (settle([outcome], OWNER), settle([read], OWNER)) == ([], [])
    assert "too late" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_if_the_row_is_somebody_elses_by_now_nothing_of_it_stands(caplog: pytest.LogCaptureFixture) -> None:
    sent = end_atomically.delay("return")
    TaskResult.objects.claim([sent.id], OWNER)
    row = TaskResult.objects.get(id=sent.id)
    message = decode(Envelope.from_text(row.message), queue=row.queue, accept={"json"})

    outcome = execute(Request(message=message, worker="worker@here", owner="given-up.1"))

    row.refresh_from_db()
    assert isinstance(outcome, Settled)
    assert (row.status, row.claimed_by) == ("PENDING", OWNER)
    assert (Entry.objects.count(), sent_inside()) == (0, 0)
    assert "came too late" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("raise", Failed),
        ("reject", Failed),
        ("ignore", Ignored),
        ("retry", Retried),
        ("unwritable", Failed),
        ("broken", Failed),
    ],
)
def test_what_does_not_return_is_rolled_back_and_settled_the_usual_way(
    how: str, ending: type[Outcome]
) -> None:
    sent = end_atomically.delay(how)

    outcome = run(sent.id)

    assert isinstance(outcome, ending)
    assert (Entry.objects.count(), sent_inside()) == (0, 0)
    assert TaskResult.objects.get(id=sent.id).claimed_by == OWNER
    assert settle([outcome], OWNER) == [outcome]


@pytest.mark.django_db(transaction=True)
def test_a_body_that_returns_and_wants_another_run_commits_both() -> None:
    sent = end_atomically.delay("ask for a retry")

    outcome = run(sent.id)

    row = TaskResult.objects.get(id=sent.id)
    assert isinstance(outcome, Settled)
    assert (row.status, row.retries, row.claimed_by) == ("RETRY", 1, None)
    assert (Entry.objects.count(), sent_inside()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_failing_on_commit_callback_comes_too_late_to_matter(caplog: pytest.LogCaptureFixture) -> None:
    sent = end_atomically.delay("bad hook")

    outcome = run(sent.id)

    assert isinstance(outcome, Settled)
    assert TaskResult.objects.get(id=sent.id).status == "SUCCESS"
    assert "is committed and recorded, but" in caplog.text
    assert not connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_the_log_tells_of_success_only_after_the_commit(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "django_tasks.task")

    run(end_atomically.delay("broken").id)
    run(end_atomically.delay("return").id)

    assert caplog.text.count("succeeded in") == 1


@pytest.mark.django_db(transaction=True)
def test_before_start_is_part_of_the_transaction_and_on_success_comes_after_it() -> None:
    seen: list[tuple[str, bool]] = []

    class Watching(Task[..., object]):
        abstract = True

        def before_start(self, *_: object) -> None:
            seen.append(("before", connection.in_atomic_block))

        def on_success(self, *_: object) -> None:
            seen.append(("after", connection.in_atomic_block))

    @task(base=Watching, atomic=True)
    def watched() -> None:
        seen.append(("body", connection.in_atomic_block))

    run(watched.delay().id)

    assert seen == [("before", True), ("body", True), ("after", False)]
    assert run(told_atomically.delay().id)


@pytest.mark.django_db(transaction=True)
def test_run_where_it_is_sent_it_is_atomic_too() -> None:
    failed, done = end_atomically.apply(("raise",)), end_atomically.apply(("return",))

    assert (failed.state, done.state) == ("FAILURE", "SUCCESS")
    assert Entry.objects.count() == 1


@pytest.mark.django_db
def test_a_foreign_message_cannot_make_it_untracked() -> None:
    from django_tasks import app
    from django_tasks.brokers.handler import broker
    from django_tasks.worker.admission import admit

    app.send_task(note_atomically.name, ignore_result=True)
    receiver = broker().receiver(["default"], OWNER)
    with receiver.receive(1) as deliveries:
        admitted = admit(deliveries, receiver, "worker@here")

    (request,) = admitted.requests
    assert (request.tracked, request.owner) == (True, OWNER)
    assert TaskResult.objects.get(id=request.message.id).claimed_by == OWNER


def test_atomic_and_ignore_result_are_refused_together() -> None:
    with pytest.raises(ValueError, match="records nothing"):

        @task(atomic=True, ignore_result=True)
        def both() -> None: ...


def test_also_if_one_of_them_is_inherited() -> None:
    class Silent(Task[..., object]):
        abstract = True
        ignore_result = True

    with pytest.raises(ValueError, match="Leave one of them out"):

        @task(base=Silent, atomic=True)
        def both() -> None: ...


def test_one_call_cannot_ignore_the_result_either() -> None:
    with pytest.raises(ValueError, match="is atomic: its end is recorded together with its effects"):
        note_atomically.apply_async((1,), ignore_result=True)


@pytest.mark.django_db
@override_settings(DJANGO_TASKS={"TASK_IGNORE_RESULT": True})
def test_the_setting_to_ignore_results_is_not_for_atomic_tasks() -> None:
    sent = note_atomically.delay(1)

    assert TaskResult.objects.filter(id=sent.id).exists()


def test_atomic_and_async_are_refused_together() -> None:
    with pytest.raises(ValueError, match="a Django transaction cannot be held over an await"):

        @task(atomic=True)
        async def both() -> None: ...


def test_atomic_is_true_or_false() -> None:
    with pytest.raises(TypeError, match="atomic must be True or False"):

        @task(atomic="yes")
        def odd() -> None: ...

    with pytest.raises(UnknownOption, match="atomic"):

        @task(atomik=True)
        def slip() -> None: ...


@pytest.mark.django_db(transaction=True)
def test_a_durable_block_inside_of_the_body_is_refused_by_django() -> None:
    @task(atomic=True)
    def durable() -> None:
        with transaction.atomic(durable=True):
            pass

    outcome = run(durable.delay().id)

    assert isinstance(outcome, Failed)
    assert "durable" in outcome.error
