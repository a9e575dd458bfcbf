"""The lease: until when a worker is believed to be alive."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from django_tasks import clock
from django_tasks.models import Worker
from tests.threads import Errand

NOW = clock.to_storage(dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC))
SECOND = dt.timedelta(seconds=1)


def worker(id: str, until: dt.datetime) -> Worker:
    return Worker.objects.create(
        id=id, name=id, hostname="h", pid=1, queues="default", processes=1, threads=1, version="1",
        started_at=NOW, lease_until=until,
    )  # fmt: skip


@pytest.mark.django_db
def test_who_has_a_lease_is_alive_and_who_has_not_is_lapsed() -> None:
    worker("alive", NOW + SECOND)
    worker("late", NOW)

    assert [found.id for found in Worker.objects.alive(NOW)] == ["alive"]
    assert [found.id for found in Worker.objects.lapsed(NOW)] == ["late"]


@pytest.mark.django_db
def test_a_lapsed_worker_nobody_gave_up_may_go_on() -> None:
    worker("late", NOW - SECOND)

    assert Worker.objects.all().renew("late", {"lease_until": NOW + SECOND})
    assert Worker.objects.alive(NOW).count() == 1


@pytest.mark.django_db
def test_who_was_given_up_hears_so_at_the_next_renewal() -> None:
    worker("late", NOW - SECOND)
    Worker.objects.all().bury("late", NOW)

    assert not Worker.objects.all().renew("late", {"lease_until": NOW + SECOND})
    assert not Worker.objects.all().renew("unknown", {"lease_until": NOW + SECOND})
    assert not Worker.objects.alive(NOW).exists()


@pytest.mark.django_db
def test_the_living_are_not_buried() -> None:
    worker("alive", NOW + SECOND)

    assert not Worker.objects.all().bury("alive", NOW)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_bury_a_worker_one_succeeds() -> None:
    worker("late", NOW - SECOND)
    ready = threading.Barrier(4)

    def bury() -> bool:
        ready.wait(30)
        return Worker.objects.all().bury("late", NOW)

    errands = [Errand(bury) for _ in range(4)]

    assert sum(errand.result() for errand in errands) == 1
