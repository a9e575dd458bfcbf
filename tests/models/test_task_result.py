"""What the rows of tasks can be asked and told."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.models import TaskResult
from django_tasks.models.batches import batch_size
from django_tasks.models.result import Change
from django_tasks.models.result_waits import awaited_from
from tests.threads import Errand

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def row(id: str, **fields: Any) -> TaskResult:
    made = {"task": "t", "queue": "default", "message": "{}", "created_at": clock.to_storage(NOW)}
    return TaskResult(id=id, **made | fields)


def insert(*ids: str, **fields: Any) -> list[str]:
    TaskResult.objects.insert([row(id, **fields) for id in ids])
    return list(ids)


def numbered(many: int) -> list[str]:
    return [f"id{number:04}" for number in range(many)]


def get(id: str) -> TaskResult:
    return TaskResult.objects.get(id=id)


# -- claims


@pytest.mark.django_db
def test_waiting_rows_are_claimed() -> None:
    insert("a", "b", "c")

    claimed = TaskResult.objects.claim(["a", "b"], "me")

    assert claimed == {"a", "b"}
    assert set(TaskResult.objects.owned_by("me").values_list("id", flat=True)) == {"a", "b"}
    assert TaskResult.objects.owners() == ["me"]


@pytest.mark.django_db
def test_what_an_owner_has_of_some_rows_is_looked_up_by_their_keys() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the others keep no dead rows in the index of owners")
    insert(*numbered(2000))
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {TaskResult._meta.db_table}")  # at this moment nobody owns anything

    plan = TaskResult.objects.owned_among(numbered(50), "me").explain()

    assert "django_tasks_result_owner" not in plan


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["PENDING", "RETRY", "STARTED"])
def test_what_is_not_final_can_be_claimed(status: str) -> None:
    insert("a", status=status)

    assert TaskResult.objects.claim(["a"], "me") == {"a"}


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE", "REVOKED"])
def test_what_is_final_cannot_be_claimed(status: str) -> None:
    insert("a", status=status)

    assert TaskResult.objects.claim(["a"], "me") == set()
    assert get("a").claimed_by is None


@pytest.mark.django_db
def test_only_those_that_can_be_had_are_claimed() -> None:
    insert("waiting")
    insert("theirs", claimed_by="them")
    insert("done", status="SUCCESS")

    claimed = TaskResult.objects.claim(["waiting", "theirs", "done", "missing"], "me")

    assert claimed == {"waiting"}
    assert get("theirs").claimed_by == "them"


@pytest.mark.django_db
def test_a_second_delivery_to_the_same_owner_is_void_as_well() -> None:
    insert("a", "b")
    TaskResult.objects.claim(["a"], "me")

    assert TaskResult.objects.claim(["a"], "me") == set()
    assert TaskResult.objects.claim(["a", "b"], "me") == {"b"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("delivered", "claimed"),
    [
        ({"a": 0, "b": 0, "c": 0}, {"a"}),
        ({"a": 1, "b": 1, "c": 1}, {"a", "b"}),
        ({"a": 0, "b": 1, "c": 2}, {"a", "b", "c"}),
        ({"a": 5, "b": 0, "c": 2}, {"a", "c"}),
    ],
)
def test_a_delivery_of_an_earlier_run_than_the_row_waits_for_is_void(
    delivered: dict[str, int], claimed: set[str]
) -> None:
    for number, id in enumerate("abc"):
        insert(id, retries=number)

    assert TaskResult.objects.claim(delivered, "me", delivered) == claimed
    assert set(TaskResult.objects.owned_by("me").values_list("id", flat=True)) == claimed


@pytest.mark.django_db
def test_claiming_takes_as_many_statements_for_many_as_for_one() -> None:
    def statements(ids: list[str]) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert len(TaskResult.objects.claim(ids, "me")) == len(ids)
        return len(asked)

    ids = insert(*numbered(501))

    assert statements(ids[1:]) == statements(ids[:1]) == (2 if connection.vendor == "mysql" else 1)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_claim_the_same_rows_each_row_goes_to_one() -> None:
    ids = insert(*numbered(300))
    ready = threading.Barrier(4)

    def claim(owner: str, wanted: list[str]) -> set[str]:
        ready.wait(30)
        with transaction.atomic():
            return TaskResult.objects.claim(wanted, owner)

    errands = [
        Errand(lambda: claim("a", ids[:200])),
        Errand(lambda: claim("b", ids[100:])),
        Errand(lambda: claim("c", ids[50:250])),
        Errand(lambda: claim("d", list(reversed(ids)))),
    ]
    claims = [errand.result() for errand in errands]

    assert set().union(*claims) == set(ids)
    assert sum(map(len, claims)) == len(ids)
    for owner, claimed in zip("abcd", claims, strict=True):
        assert set(TaskResult.objects.owned_by(owner).values_list("id", flat=True)) == claimed


@pytest.mark.django_db(transaction=True)
def test_a_row_revoked_while_it_is_claimed_is_one_or_the_other() -> None:
    ids = insert(*numbered(100))
    ready = threading.Barrier(2)

    def claim() -> set[str]:
        ready.wait(30)
        claimed: set[str] = set()
        for id in ids:
            claimed |= TaskResult.objects.claim([id], "me")
        return claimed

    def revoke() -> set[str]:
        ready.wait(30)
        return {id for id in reversed(ids) if TaskResult.objects.revoke([id], "{}")}

    errands = Errand(claim), Errand(revoke)
    claimed, revoked = (errand.result() for errand in errands)

    assert claimed | revoked == set(ids)
    assert not claimed & revoked
    assert TaskResult.objects.filter(status="REVOKED").count() == len(revoked)


# -- recording


@pytest.mark.django_db
def test_recording_takes_as_many_statements_for_fifty_as_for_five() -> None:
    def statements(ids: list[str]) -> int:
        changes = [Change(id=id, status="SUCCESS", result="1", finished_at=NOW) for id in ids]
        with CaptureQueriesContext(connection) as asked:
            assert len(TaskResult.objects.record(changes, "me")) == len(ids)
        # An executemany counts as one; SQLite has no other way that is as fast.
        return len(asked)

    ids = insert(*numbered(55), claimed_by="me")

    assert statements(ids[:50]) == statements(ids[50:]) <= 2


# -- giving back, adopting, counting, revoking


@pytest.mark.parametrize(
    ("url", "may_be_lost"),
    [
        ("django://", False),
        ("django://default", False),
        ("django://messages", True),
        ("redis://localhost", True),
    ],
)
def test_what_is_sent_is_looked_for_where_its_message_is_not_of_the_same_transaction(
    settings: Any, url: str, may_be_lost: bool
) -> None:
    settings.DJANGO_TASKS = {**settings.DJANGO_TASKS, "BROKER_URL": url}

    assert (awaited_from(None) is not None) == may_be_lost


@pytest.mark.django_db
def test_released_rows_are_as_if_never_claimed() -> None:
    insert("mine", claimed_by="me", status="STARTED", started_at=clock.to_storage(NOW), worker="w@h")
    insert("theirs", claimed_by="them")

    released = TaskResult.objects.release(["mine", "theirs", "missing"], "me")

    assert [row.id for row in released] == ["mine"]
    assert released[0].message == "{}"
    row = get("mine")
    assert (row.claimed_by, row.status, row.started_at, row.worker) == (None, "PENDING", None, "")
    assert get("theirs").claimed_by == "them"


@pytest.mark.django_db
def test_a_foreign_task_gets_a_row_that_is_owned_from_the_start() -> None:
    insert("known")

    adopted = TaskResult.objects.adopt([row("new"), row("known")], "me")

    assert adopted == {"new"}
    assert get("new").claimed_by == "me"
    assert get("known").claimed_by is None


@pytest.mark.django_db
def test_only_the_owners_rows_count_a_crash() -> None:
    insert("mine", claimed_by="me", crashes=1)
    insert("theirs", claimed_by="them")

    TaskResult.objects.count_crash(["mine", "theirs"], "me")

    assert (get("mine").crashes, get("theirs").crashes) == (2, 0)


@pytest.mark.django_db
def test_waiting_rows_can_be_revoked_and_others_not() -> None:
    insert("waiting", "other")
    insert("running", claimed_by="me")
    insert("done", status="SUCCESS")

    revoked = TaskResult.objects.revoke(["waiting", "running", "done"], '{"why": 1}')

    assert revoked == 1
    assert (get("waiting").status, get("waiting").result) == ("REVOKED", '{"why": 1}')
    assert get("waiting").finished_at is not None
    assert (get("running").status, get("done").status, get("other").status) == (
        "PENDING",
        "SUCCESS",
        "PENDING",
    )


# -- rows


@pytest.mark.django_db
def test_an_id_can_be_taken_once() -> None:
    insert("a")

    with pytest.raises(IntegrityError), transaction.atomic():
        insert("b", "a")

    assert TaskResult.objects.count() == 1


@pytest.mark.django_db
def test_many_rows_are_inserted_by_few_statements() -> None:
    with CaptureQueriesContext(connection) as asked:
        insert(*numbered(1000))

    # SQLite takes some fifty rows in one.
    assert len(asked) <= (25 if connection.vendor == "sqlite" else 2)


def test_a_row_knows_how_long_it_ran() -> None:
    span = dt.timedelta(seconds=3)

    assert row("a", started_at=NOW, finished_at=NOW + span).run_time == span
    assert row("a", started_at=NOW).run_time is None


def test_only_endings_are_final() -> None:
    final = {
        status for status in ("PENDING", "STARTED", "RETRY", "PROGRESS") if row("a", status=status).is_final
    }

    assert final == set()
    assert all(row("a", status=status).is_final for status in ("SUCCESS", "FAILURE", "REVOKED"))


@pytest.mark.parametrize(
    ("lengths", "size"),
    [((), 500), ((0, 10), 500), ((100_000,), 40), ((10, 3_000_000), 1), ((50_000_000,), 1)],
)
def test_rows_with_long_texts_go_fewer_at_a_time(lengths: tuple[int, ...], size: int) -> None:
    assert batch_size("x" * length for length in lengths) == size
