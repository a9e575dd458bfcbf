"""What ends the pauses of a task process's consumer."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from unittest.mock import create_autospec

import pytest

from django_tasks import clock
from django_tasks.brokers.broker import Posting, Receiver
from django_tasks.brokers.handler import broker
from django_tasks.execution.outcome import Request
from django_tasks.message.message import TaskMessage
from django_tasks.message.protocol2 import encode
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.service import Wakeup
from django_tasks.worker.admission import admit
from django_tasks.worker.board import Board
from django_tasks.worker.claims import SHOW_STARTED_AFTER
from django_tasks.worker.consumer import ALL_GO_FIRST, GO_FIRST, LONGEST_IDLE, Consumer
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.retirement import Retirement
from django_tasks.worker.runners.main_thread import MainThreadRunner
from tests.ledger.tasks import note

EAR = 99


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    """It has looked, found nothing, and listens."""
    wakeup = Wakeup()
    (seat,) = Board(1, 1, uuid.uuid4().hex).seats
    seat.take(1)
    options = WorkerOptions(queues=("default",))
    made = Consumer(
        options=options,
        seat=seat,
        runner=MainThreadRunner(
            seat=seat, slots=1, concurrency=1, done=wakeup, retirement=Retirement(options, seat)
        ),
        wakeup=wakeup,
        lifeline=None,
        on_orphaned=pytest.fail,
    )
    made.receiver = create_autospec(Receiver, instance=True, fds=[EAR])
    made.may_find = False
    yield made
    wakeup.close()


def test_an_idle_consumer_listens_to_its_broker(consumer: Consumer) -> None:
    assert list(consumer.ears()) == [EAR]


def test_a_consumer_that_knows_of_messages_does_not_listen_for_them(consumer: Consumer) -> None:
    consumer.may_find = True

    assert not consumer.ears()


def test_a_consumer_that_winds_up_listens_no_more(consumer: Consumer) -> None:
    """Nobody would read what it hears, so every pause would end at once until the last body has ended."""
    consumer.request_end()

    assert not consumer.ears()


def test_a_consumer_that_winds_up_sleeps_while_its_last_body_runs(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For hours, perhaps. Its end rings; only that it runs is to be shown soon."""
    consumer.receiver = None
    request = Request(message=TaskMessage(id="last", task=""), worker="w", tracked=False)
    consumer.claims.requests[id(request)] = request
    consumer.runner.begin(0, request)
    consumer.request_end()

    first = consumer.turn()
    later = clock.monotonic() + 1
    monkeypatch.setattr(clock, "monotonic", lambda: later)

    assert first == SHOW_STARTED_AFTER
    assert consumer.turn() == LONGEST_IDLE


def test_a_consumer_that_has_no_room_for_what_it_knows_of_gives_signs_of_life(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the broker closes the connection under a body that takes longer than two of its heartbeats."""
    consumer.board.extend_lease(float("inf"))
    consumer.may_find = True
    monkeypatch.setattr(Consumer, "_most", lambda self: 0)
    receiver = consumer.receiver = create_autospec(Receiver, instance=True)

    consumer.claim()

    receiver.keep_alive.assert_called_once_with()
    receiver.has_news.assert_not_called()


class Told(Wakeup):
    """Whoever listens hears of a message at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None, also: Sequence[int] = ()) -> list[int]:
        self.waits.append(timeout)
        return list(also)


@pytest.mark.parametrize(("idle_before", "pauses"), [(0, []), (1, [GO_FIRST]), (50, [ALL_GO_FIRST])])
def test_of_idle_processes_that_are_told_of_a_message_the_first_goes_at_once(
    consumer: Consumer, idle_before: int, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = consumer.wakeup = Told()
    receiver = consumer.receiver = create_autospec(Receiver, instance=True, fds=[EAR], is_told_to_all=True)
    receiver.has_news.return_value = False
    monkeypatch.setattr(Board, "idle_before", lambda *_: idle_before)

    consumer.wait(1.0)

    assert told.waits == [1.0, *pauses]
    assert receiver.is_hopeful == (idle_before == 0)
    told.close()


def test_a_process_that_had_something_to_do_just_now_lets_nobody_go_first(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = consumer.wakeup = Told()
    consumer.receiver = create_autospec(Receiver, instance=True, fds=[EAR], is_told_to_all=True)
    consumer.receiver.has_news.return_value = False
    monkeypatch.setattr(Board, "idle_before", lambda *_: 1)
    consumer.found = clock.monotonic()

    consumer.wait(1.0)

    assert told.waits == [1.0]
    told.close()


def test_a_notice_that_came_with_an_answer_during_the_latest_look_is_not_slept_over(
    consumer: Consumer,
) -> None:
    told = consumer.wakeup = Told()
    consumer.receiver = create_autospec(Receiver, instance=True, fds=[EAR], is_told_to_all=True)
    consumer.receiver.has_news.return_value = True

    consumer.wait(1.0)

    assert (told.waits, consumer.may_find) == ([], True)
    told.close()


def test_a_message_for_one_process_is_taken_by_it_at_once(consumer: Consumer) -> None:
    told = consumer.wakeup = Told()
    consumer.receiver = create_autospec(Receiver, instance=True, fds=[EAR], is_told_to_all=False)

    consumer.wait(1.0)

    assert told.waits == [1.0]
    told.close()


@pytest.mark.django_db(transaction=True)
def test_a_body_is_not_taken_for_what_has_replaced_it_and_was_claimed_while_it_came_to_its_end(
    consumer: Consumer,
) -> None:
    """Or that, which has not begun, would be lost with the process."""
    sent = note.delay(1)
    message = TaskResult.objects.get(id=sent.id).to_message()
    consumer.board.extend_lease(float("inf"))
    consumer.runner.begin(0, Request(message=message, worker="worker@here", owner=consumer.claims.owner))
    assert [task.id for task in consumer.seat.running()] == [sent.id]
    consumer.receiver = None
    consumer.queues = ("default",)

    consumer.receive(consumer.intake.most(plain=1, coroutines=0))

    assert TaskResult.objects.get(id=sent.id).claimed_by == consumer.claims.owner
    assert [task.id for task in consumer.seat.running()] == [""]
    consumer.listen().close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ignored", [False, True])
def test_what_is_due_later_and_too_long_to_be_stored_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, ignored: bool
) -> None:
    """Only MariaDB has such a limit, and a foreign sender does not ask it."""
    monkeypatch.setattr("django_tasks.worker.admission.fits", lambda text, _: "long" not in text)
    due = clock.now() + dt.timedelta(hours=1)
    for id in ("long", "short"):
        sent = TaskMessage(id=id, task=note.name, queue="default", eta=due, ignore_result=ignored)
        broker().publish([Posting(envelope=encode(sent), queue="default")])
    receiver = broker().receiver(["default"], "me")

    with receiver.receive(2) as deliveries:
        admitted = admit(deliveries, receiver, "worker@here")

    assert admitted.requests == []
    aside, parked = QueuedMessage.objects.order_by("state")
    assert (aside.state, parked.state) == ("aside", "parked")
    assert "max_allowed_packet" in aside.reason
    assert list(TaskResult.objects.values_list("id", flat=True)) == ([] if ignored else ["short"])
    receiver.close()
