"""A worker among messages that nobody means well with: it runs the good ones, keeps the others, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import kombu
import pytest
from django.db import connection, transaction

from django_tasks import clock, states
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.models.batches import most_bytes
from tests.hostile import HOSTILE, RAW, Hostile, bomb, heavy, send
from tests.ledger.models import Entry
from tests.ledger.tasks import echo, note
from tests.workers import RunningWorker, Start, eventually

pytestmark = pytest.mark.worker
RunBurst = Callable[..., RunningWorker]
ACCEPTING = {"DJANGO_SETTINGS_MODULE": "tests.worker.accepting_settings"}

GOOD = 1000
#: How often each is sent; the large ones once.
TIMES = 3


def put(messages: Sequence[Hostile]) -> None:
    with kombu.Connection("django://") as stranger:
        producer = kombu.Producer(stranger.channel())
        for number, hostile in enumerate(messages):
            send(producer, hostile, queue="default", id=f"hostile-{number}")


def aside() -> int:
    return QueuedMessage.objects.aside().count()


def peak(pid: int) -> int:
    """The most memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def small_enough(messages: Sequence[Hostile]) -> list[Hostile]:
    """Those that the database takes: MariaDB refuses the largest where they are sent."""
    most = most_bytes(connection)
    return [one for one in messages if most is None or not one.is_large]


@pytest.mark.timeout(300)
def test_of_a_thousand_good_tasks_among_hostile_messages_all_run_and_each_of_the_others_is_kept_once(
    start_worker: Start,
) -> None:
    hostile = [one for one in small_enough(HOSTILE) for _ in range(1 if one.is_large else TIMES)]
    with transaction.atomic():
        for number in range(GOOD):
            note.delay(number)
            put(hostile[number::GOOD])
        raw = [
            QueuedMessage(queue="default", payload=text, sent_at=clock.to_storage(clock.now()))
            for text in RAW
        ]
        QueuedMessage.objects.bulk_create(raw)
    many = len(hostile) + len(RAW)
    assert many > 300

    worker = start_worker("--processes=2", **ACCEPTING)
    processes = worker.family()
    eventually(lambda: not QueuedMessage.objects.exclude(state="aside").exists(), "all are looked at")
    eventually(lambda: not TaskResult.objects.exclude(status=states.SUCCESS).exists(), "all have ended")

    assert sorted(Entry.objects.values_list("number", flat=True)) == list(range(GOOD))
    assert TaskResult.objects.count() == GOOD
    assert aside() == many
    assert worker.output.count("Message set aside from queue default: ") == many
    assert all(len(reason) > 20 for reason in QueuedMessage.objects.values_list("reason", flat=True))
    assert worker.children() == processes


@pytest.mark.timeout(300)
def test_a_bomb_and_a_body_of_50_mb_do_not_fill_the_memory(start_worker: Start) -> None:
    worker = start_worker("--processes=1")
    assert note.delay(1).get(timeout=45) == 1
    (_, process) = worker.children()
    before = peak(process)

    sent = small_enough([bomb(), heavy()]) or [bomb()]
    put(sent)
    eventually(lambda: aside() == len(sent), "they are set aside")

    assert note.delay(2).get(timeout=45) == 2
    assert peak(process) - before < 100
    assert worker.children()[1] == process


def test_of_what_is_too_large_the_ends_are_kept_and_the_reason_says_so(run_burst: RunBurst) -> None:
    if most_bytes(connection) is not None:
        pytest.skip("MariaDB refuses it where it is sent")
    put([heavy()])

    run_burst("--processes=1")

    row = QueuedMessage.objects.get()
    assert row.state == QueuedMessage.State.ASIDE
    assert "MESSAGE_MAX_BYTES" in row.reason
    assert "cannot be replayed" in row.reason
    assert len(row.payload) < 100_000
    assert "hostile-0" in row.payload
    assert QueuedMessage.objects.replay() == 0


def test_what_was_set_aside_runs_once_its_cause_is_mended_and_it_is_replayed(run_burst: RunBurst) -> None:
    put(
        [
            Hostile(
                name="yaml",
                body=b"[[7], {}, {}]",
                content_type="application/x-yaml",
                headers={"task": note.name},
            )
        ]
    )
    put([bomb()])
    run_burst("--processes=1")
    assert (aside(), Entry.objects.count()) == (2, 0)

    assert QueuedMessage.objects.replay() == 2
    run_burst("--processes=1", **ACCEPTING)

    assert [entry.number for entry in Entry.objects.all()] == [7]
    assert TaskResult.objects.get().status == states.SUCCESS
    assert "MESSAGE_MAX_BYTES" in QueuedMessage.objects.aside().get().reason


def test_arguments_with_nul_and_halves_of_surrogate_pairs_are_run_on_any_database(
    run_burst: RunBurst,
) -> None:
    """JSON may have them, and rows can keep them; only they cannot be kept as they are."""
    put(
        [
            Hostile(
                name="strange",
                body=b'[["a\\u0000b\\ud800c"], {}, {}]',
                headers={
                    "task": echo.name,
                    "argsrepr": "\x00\ud800",
                    "origin": "\x00\ud800",
                    "shadow": "\x00\ud800",
                    "x-own": "\x00\ud800",
                },
            )
        ]
    )

    run_burst("--processes=1")

    assert TaskResult.objects.get().status == states.SUCCESS
