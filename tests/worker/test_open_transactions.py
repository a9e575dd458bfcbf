"""While a body runs no transaction of ours stays open: PostgreSQL would keep all that is deleted meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from tests.ledger.tasks import (
    see_transactions,
    see_transactions_async,
    see_transactions_atomically,
    transactions_around,
)
from tests.workers import RunningWorker

pytestmark = [
    pytest.mark.worker,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL says who has one"),
]


@pytest.mark.parametrize("shape", ["--processes=0", "--processes=1", "--processes=1 --threads=2"])
def test_no_transaction_stays_open_around_a_body(run_burst: Callable[..., RunningWorker], shape: str) -> None:
    plain = see_transactions.bulk([(), ()])
    retried = see_transactions.delay(retries=1)
    sent = [*plain, retried, see_transactions_async.delay()]
    own = see_transactions_atomically.delay()

    run_burst(*shape.split())

    assert [result.get(timeout=0) for result in sent] == [[], [], [], []]
    assert own.get(timeout=0) == ["its own"]


@pytest.mark.django_db(transaction=True)
def test_one_that_stays_open_is_seen() -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1")

        assert transactions_around(seconds=0) == ["idle in transaction: SELECT 1"]
        with transaction.atomic():
            assert transactions_around(seconds=0) == ["its own"]
    finally:
        other.close()
