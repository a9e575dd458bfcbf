"""What is to run later waits as rows, whatever the broker; one relay delivers each when its time has come."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import note, note_untracked
from tests.services import Server
from tests.workers import Start, all_final, eventually

pytestmark = [pytest.mark.worker, pytest.mark.timeout(900)]

#: Rows that wait for a moment far away beside those that become due; by hand as many as a large site has.
WAITING = int(os.environ.get("TEST_WAITING", "500"))
#: How many become due: two workers take longer than a moment to run these, which is not what is late by hand.
DUE = int(os.environ.get("TEST_DUE", "2000"))


@pytest.fixture
def far_away(transactional_db: None) -> None:
    """Made in the database from one that is sent: a hundred thousand of them take minutes otherwise."""
    note.apply_async(countdown=10**6)
    names = [field.column for field in QueuedMessage._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(map(connection.ops.quote_name, names))
    table = QueuedMessage._meta.db_table
    with connection.cursor() as cursor:
        while (there := QueuedMessage.objects.count()) < WAITING:
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} LIMIT {WAITING - there:d}"
            )
    TaskResult.objects.all().delete()


def test_of_two_workers_relays_exactly_one_delivers_each_and_none_early(
    far_away: None, shared_server: Server, use_broker: Callable[[str], None], start_worker: Start
) -> None:
    use_broker(shared_server.url)
    now = clock.now()
    for second in range(10):
        # An untracked one runs as often as it is delivered.
        task = note_untracked if second % 2 else note
        task.bulk(
            [(number,) for number in range(second, DUE, 10)], eta=now + dt.timedelta(seconds=10 + second)
        )
    moments = {number: (now + dt.timedelta(seconds=10 + number % 10)).timestamp() for number in range(DUE)}
    assert broker().size("default") == 0

    for _ in range(2):
        start_worker("--processes=1")

    eventually(lambda: Entry.objects.count() >= DUE, "all have run")
    eventually(lambda: QueuedMessage.objects.count() == WAITING and all_final(), "nothing is under way")
    ran = list(Entry.objects.values_list("number", "at"))
    assert Counter(number for number, _ in ran) == Counter(range(DUE))
    late = sorted(at - moments[number] for number, at in ran)
    assert late[0] >= 0
    print(f"{WAITING} waiting: late by {late[DUE // 2]:.2f} s p50, {late[DUE * 95 // 100]:.2f} s p95")
