"""What a dead process leaves is taken over as a whole: recorded, told of and offered again, or nothing (DESIGN §6)."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from types import ModuleType

import pytest
from django.db.models import F

from django_tasks import clock
from django_tasks.execution import journal
from django_tasks.execution.outcome import Request, Succeeded
from django_tasks.message.message import TaskMessage
from django_tasks.models import QueuedMessage, TaskResult, Worker
from django_tasks.results.async_result import AsyncResult
from django_tasks.worker import rescue as rescue_module
from django_tasks.worker import verdicts
from django_tasks.worker.board import DEAD, FREE, OVERDUE, TERMINATED, Board, Seat
from django_tasks.worker.lease import Lease
from django_tasks.worker.options import WorkerOptions
from django_tasks.worker.rescue import Rescue
from tests.ledger.models import Entry
from tests.ledger.tasks import hold, hold_again, note, told_of_its_limit
from tests.workers import Start, eventually, status


@pytest.fixture
def board() -> Board:
    return Board(1, 2, uuid.uuid4().hex)


@pytest.fixture
def rescue(board: Board) -> Rescue:
    options = WorkerOptions(queues=("default",))
    return Rescue(board=board, options=options, lease=Lease(board=board, options=options, pid=1))


@pytest.fixture
def seat(board: Board) -> Seat:
    """Of a process that has just been killed; what it ran stands on the board."""
    (seat,) = board.seats
    seat.take(1)
    seat.sit(1)
    seat.mark(DEAD)
    return seat


def run(seat: Seat, slot: int, sent: AsyncResult[object], verdict: int = 0) -> None:
    """The process of this seat has claimed the task and begun its body."""
    TaskResult.objects.claim([sent.id], seat.owner)
    QueuedMessage.objects.all().delete()
    seat.begin(slot, sent.id, 0.1)
    seat.judge(slot, verdict)


def to_be_told() -> int:
    return sum("tell_of_failure" in row.payload for row in QueuedMessage.objects.all())


class Interrupted(Exception):
    """The housekeeper got no further."""


def interrupt(*_: object, **__: object) -> None:
    raise Interrupted


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("where", "step"),
    [
        (rescue_module, "settle"),
        (verdicts, "settle"),
        (verdicts, "report_failures"),
        (rescue_module, "rescue"),
        (rescue_module, "hand_back"),
    ],
)
def test_what_is_interrupted_leaves_nothing_half_done(
    rescue: Rescue, seat: Seat, monkeypatch: pytest.MonkeyPatch, where: ModuleType, step: str
) -> None:
    overdue, neighbour = told_of_its_limit.delay("/no/gate"), hold_again.delay("/no/gate")
    run(seat, 0, overdue, OVERDUE)
    run(seat, 1, neighbour)

    with monkeypatch.context() as patch:
        patch.setattr(where, step, interrupt)
        with pytest.raises(Interrupted):
            rescue.clear(seat)

    assert {row.claimed_by for row in TaskResult.objects.all()} == {seat.owner}
    assert (status(overdue.id), to_be_told(), seat.state) == ("PENDING", 0, DEAD)

    rescue.clear(seat)

    assert (status(overdue.id), to_be_told(), seat.state) == ("FAILURE", 1, FREE)
    assert not TaskResult.objects.owners()


@pytest.mark.django_db
def test_who_finds_it_done_but_the_seat_not_free_tells_of_nothing_twice(rescue: Rescue, seat: Seat) -> None:
    run(seat, 0, told_of_its_limit.delay("/no/gate"), OVERDUE)
    rescue.clear(seat)

    seat.mark(DEAD)  # as if it had been killed right after the commit
    rescue.clear(seat)

    assert to_be_told() == 1


@pytest.mark.django_db
def test_what_had_ended_is_recorded_with_what_had_not(rescue: Rescue, seat: Seat) -> None:
    ended, unwanted = note.delay(1), hold.delay("/no/gate")
    run(seat, 0, ended)
    request = Request(message=TaskMessage(id=ended.id, task=note.name), worker="worker@here")
    now = rescue_module.clock.now()
    seat.end(0, *journal.write(Succeeded(request=request, result="1", started_at=now, finished_at=now)))
    run(seat, 1, unwanted, TERMINATED)

    rescue.clear(seat)

    assert (status(ended.id), status(unwanted.id)) == ("SUCCESS", "REVOKED")


@pytest.mark.django_db
def test_what_its_process_claimed_in_the_place_of_a_body_has_not_begun(rescue: Rescue, seat: Seat) -> None:
    sent = hold.delay("/no/gate")
    run(seat, 0, sent)
    seat.disown(0, sent.id)

    rescue.clear(seat)

    assert status(sent.id) == "PENDING"
    assert TaskResult.objects.get(id=sent.id).crashes == 0
    assert QueuedMessage.objects.ready().count() == 1


@pytest.mark.django_db
def test_a_worker_does_not_give_itself_up_however_late_it_is(rescue: Rescue, board: Board) -> None:
    rescue.lease.turn()
    Worker.objects.update(lease_until=F("lease_until") - dt.timedelta(days=1))

    rescue.rescue_lost_workers()

    assert Worker.objects.get(id=board.worker_id).lost_at is None


@pytest.mark.django_db
def test_of_two_who_rescue_a_lost_worker_the_second_takes_nothing_from_what_the_first_counted(
    rescue: Rescue,
) -> None:
    lost = Worker.objects.create(
        **dict.fromkeys(("started_at", "renewed_at", "lease_until"), clock.to_storage(clock.now())),
        id="lost",
        pid=1,
        processes=1,
        threads=1,
    )
    owner = f"{lost.id}.1"
    TaskResult.objects.claim([note.delay(number).id for number in range(3)], owner)

    rescue.rescue_worker(lost.id, [owner])
    rescue.rescue_worker(lost.id, [owner])

    lost.refresh_from_db()
    assert lost.lost_at is not None
    assert lost.recovered == 3


@pytest.mark.worker
def test_the_failure_is_told_though_all_of_the_worker_is_killed_when_about_to_have_it_told(
    start_worker: Start, tmp_path: Path
) -> None:
    deadly = {
        "DJANGO_SETTINGS_MODULE": "tests.worker.deadly_settings",
        "KILLED": str(tmp_path / "killed"),
        "TEST_WORKER_LEASE": "2",
    }
    sent = told_of_its_limit.delay(str(tmp_path / "gate"))
    first = start_worker("--processes=1", **deadly)
    eventually(lambda: first.process.poll() is not None, "killed")

    start_worker("--processes=1", **deadly)

    eventually(lambda: Entry.objects.filter(task_id__contains=" on_failure ").exists(), "it is told")
    assert status(sent.id) == "FAILURE"
    assert Entry.objects.filter(task_id__contains=" on_failure ").count() == 1
