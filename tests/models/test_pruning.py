"""What is old is deleted, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection

from django_tasks import clock
from django_tasks.models import FailureGroup

pytestmark = pytest.mark.django_db


def test_what_is_seen_again_while_it_is_being_deleted_is_kept() -> None:
    now = clock.to_storage(clock.now())
    old = now - dt.timedelta(days=90)
    FailureGroup.objects.create(
        fingerprint="f", task="t", error_type="E", sample="E", first_seen=old, last_seen=old, count=1
    )
    statements: list[str] = []

    def see_again(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        found = execute(sql, *rest)
        if len(statements) == 1:
            FailureGroup.objects.update(last_seen=now)
        return found

    with connection.execute_wrapper(see_again):
        pruned = FailureGroup.objects.prune(now - dt.timedelta(days=30), 10)

    assert pruned == 0
    assert FailureGroup.objects.exists()
