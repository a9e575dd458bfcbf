"""In which order rows are locked: whoever ends a task locks its row, then what indexes tell of it."""

from __future__ import annotations

import time

import pytest
from django.db import connection, transaction

from django_tasks import clock
from django_tasks.models import TaskResult
from tests.threads import Errand
from tests.workers import PATIENCE

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "mysql", reason="the others lock no entries of indexes"),
]

OWNER = "worker.1"


def row(number: int, owner: str | None) -> TaskResult:
    now = clock.to_storage(clock.now())
    return TaskResult(
        id=f"{number:03}", task="t", queue="default", message="{}", claimed_by=owner, created_at=now
    )


def wait_until_somebody_waits_for_a_lock() -> None:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.2)  # the table is a copy, which is made anew once nobody has asked for 0.1 s
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("others", [0, 300])
def test_a_batch_is_settled_while_one_of_its_tasks_ends_in_a_transaction_of_its_own(others: int) -> None:
    """An atomic task's end against what its process notes of all that it runs: they locked each other out."""
    TaskResult.objects.all().insert(
        [row(number, OWNER if number < 4 else None) for number in range(1, 5 + others)]
    )

    def lock() -> set[str]:
        with transaction.atomic():
            return TaskResult.objects.lock_owned(["001", "002", "003"], OWNER)

    with transaction.atomic():
        TaskResult.objects.select_for_update().get(id="002")
        errand = Errand(lock)
        wait_until_somebody_waits_for_a_lock()
        TaskResult.objects.filter(id="002").update(claimed_by=None)

    assert errand.result() == {"001", "003"}


def test_rows_that_others_have_locked_are_in_nobodys_way() -> None:
    """A small table would be read through, past all that is locked in it."""
    TaskResult.objects.all().insert([row(number, OWNER) for number in range(1, 6)])

    with transaction.atomic():
        TaskResult.objects.select_for_update().get(id="002")
        errand = Errand(lambda: _locked("001", "003"))
        assert errand.result() == {"001", "003"}


def _locked(*ids: str) -> set[str]:
    with transaction.atomic():
        return TaskResult.objects.lock_owned(ids, OWNER)
