"""The lease: who may take others for dead, and from when on."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from django_tasks import clock
from django_tasks.models import Worker
from django_tasks.worker.board import Board
from django_tasks.worker.lease import Lease
from django_tasks.worker.options import WorkerOptions

pytestmark = pytest.mark.django_db

SPAN = 30.0


class Time:
    """Goes on when told to, for this machine and for the database alike."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def database_now(self, _: object) -> dt.datetime:
        return dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC) + dt.timedelta(seconds=self.seconds)

    def pass_with(self, lease: Lease, seconds: float) -> None:
        """The lease is renewed all the while."""
        ends = self.seconds + seconds
        while self.seconds < ends:
            self.seconds = min(ends, self.seconds + SPAN / 3)
            lease.turn()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(clock, "monotonic", time.monotonic)
    monkeypatch.setattr(clock, "database_now", time.database_now)
    return time


def a_worker_starts() -> Lease:
    lease = Lease(board=Board(1, 1, uuid.uuid4().hex), options=WorkerOptions(queues=("default",)), pid=1)
    lease.turn()
    return lease


def test_the_first_worker_takes_nobody_for_dead_before_it_has_lived_for_a_lease(time: Time) -> None:
    lease = a_worker_starts()

    time.pass_with(lease, SPAN)
    assert not lease.may_judge()
    time.pass_with(lease, 1.0)
    assert lease.may_judge()


def test_a_worker_that_starts_believes_those_who_have_seen_the_database_until_now(time: Time) -> None:
    killed = a_worker_starts()
    time.pass_with(killed, SPAN + 1)
    time.seconds += SPAN / 2

    assert a_worker_starts().may_judge()


def test_with_every_worker_killed_before_it_has_lived_for_a_lease_their_dead_are_found_all_the_same(
    time: Time,
) -> None:
    for _ in range(4):
        time.pass_with(a_worker_starts(), SPAN / 3)

    assert a_worker_starts().may_judge()


def test_a_worker_that_ended_has_seen_the_database_all_the_same(time: Time) -> None:
    ended = a_worker_starts()
    time.pass_with(ended, SPAN + 1)
    ended.end()
    time.seconds += SPAN / 3

    assert a_worker_starts().may_judge()


def test_after_an_outage_neither_a_new_worker_nor_an_old_one_takes_anybody_for_dead_at_once(
    time: Time,
) -> None:
    old = a_worker_starts()
    time.pass_with(old, 10 * SPAN)
    time.seconds += 2 * SPAN

    assert not old.may_judge()
    old.turn()
    assert not old.may_judge()
    new = a_worker_starts()
    time.pass_with(new, SPAN)
    assert not new.may_judge()
    time.pass_with(new, 1.0)
    assert new.may_judge()


def test_a_worker_that_alone_was_cut_off_believes_the_others(time: Time) -> None:
    cut_off, other = a_worker_starts(), a_worker_starts()
    time.pass_with(other, 3 * SPAN)

    cut_off.turn()

    assert cut_off.may_judge()
    assert Worker.objects.count() == 2


def claims_are_void(lease: Lease) -> bool:
    return all(seat.is_void for seat in lease.board.seats)


def test_a_worker_that_starts_has_nothing_that_could_be_void(time: Time) -> None:
    assert not claims_are_void(a_worker_starts())


def test_a_worker_that_was_given_up_is_back_without_what_it_had_claimed(time: Time) -> None:
    lease = a_worker_starts()
    Worker.objects.update(lost_at=clock.to_storage(time.database_now(None)))

    lease.turn()

    assert claims_are_void(lease)
    assert Worker.objects.get().lost_at is None


def test_a_worker_that_slept_until_its_row_was_deleted_is_back_without_what_it_had_claimed(
    time: Time,
) -> None:
    lease = a_worker_starts()
    Worker.objects.all().delete()

    lease.turn()

    assert claims_are_void(lease)
    assert Worker.objects.get().id == lease.board.worker_id


def test_a_new_housekeeper_knows_that_its_worker_was_believed_before(time: Time) -> None:
    before = a_worker_starts()
    Worker.objects.all().delete()

    Lease(board=before.board, options=before.options, pid=1).turn()

    assert claims_are_void(before)
