"""What is asked of workers, as rows; and which queues are paused."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_tasks import clock
from django_tasks.models import QueuePause, TaskResult, WorkerCommand
from django_tasks.models.wanted import wanted
from django_tasks.results import retention

pytestmark = pytest.mark.django_db

COMMANDS = WorkerCommand.objects


def ask(*workers: str, method: str = "ping") -> list[int]:
    return COMMANDS.all().ask(workers, method, {"n": 1})


def test_a_command_is_a_row_for_each_worker() -> None:
    ask("a", "b")
    ask("a", method="stats")

    assert [row.method for row in COMMANDS.all().asked_of("a")] == ["ping", "stats"]
    assert [row.arguments for row in COMMANDS.all().asked_of("b")] == [{"n": 1}]


def test_an_answer_is_for_whoever_asked_and_nothing_is_answered_twice() -> None:
    first, second = ask("a", "b")

    COMMANDS.all().answer(first, {"ok": "pong"})
    COMMANDS.all().answer(first, "again")

    assert COMMANDS.all().answers([first, second]) == {"a": {"ok": "pong"}}
    assert not COMMANDS.all().asked_of("a").exists()
    assert COMMANDS.all().asked_of("b").exists()


@pytest.mark.parametrize("answer", [None, [], "NUL \x00 and \ud800", {"deep": [1.5, None]}])
def test_whatever_json_can_say_can_be_answered(answer: object) -> None:
    (id,) = ask("a")

    COMMANDS.all().answer(id, answer)

    assert COMMANDS.all().answers([id]) == {"a": answer}


def test_old_ones_are_deleted_the_oldest_first() -> None:
    ids = ask("a", "b", "c")
    COMMANDS.filter(id__in=ids[:2]).update(asked_at=clock.to_storage(clock.now() - dt.timedelta(hours=2)))
    before = clock.to_storage(clock.now() - dt.timedelta(hours=1))

    assert COMMANDS.all().prune(before, 1) == 1
    assert COMMANDS.all().prune(before, 9) == 1
    assert list(COMMANDS.values_list("id", flat=True)) == ids[2:]


def test_a_queue_is_paused_once_and_resumed_once() -> None:
    pauses = QueuePause.objects.all()

    assert pauses.pause("mail", "the provider is down")
    since = QueuePause.objects.get().paused_at
    assert not pauses.pause("mail", "still down")

    paused = QueuePause.objects.get()
    assert (paused.reason, paused.paused_at) == ("still down", since)
    assert pauses.resume("mail")
    assert not pauses.resume("mail")


def test_a_pause_with_an_end_is_over_by_itself_and_the_next_one_is_new() -> None:
    now = clock.now()
    pauses = QueuePause.objects.all()
    assert pauses.pause("mail", "a minute", until=now + dt.timedelta(minutes=1), by="boss")
    assert pauses.get().paused_by == "boss"
    later = clock.to_storage(now + dt.timedelta(minutes=2))

    assert pauses.in_force(clock.to_storage(now)).exists()
    assert not pauses.in_force(later).exists()
    pauses.update(until=clock.to_storage(now - dt.timedelta(minutes=1)))
    assert wanted("default", "w", []).paused == frozenset()
    assert pauses.pause("mail", "again")
    assert wanted("default", "w", []).paused == {"mail"}
    assert pauses.prune(later) == 0


def test_pauses_that_are_over_are_forgotten() -> None:
    pauses, past = QueuePause.objects.all(), clock.now() - dt.timedelta(seconds=1)
    pauses.pause("mail", until=past)
    pauses.pause("other")

    assert retention.prune_pauses() == 1
    assert [pause.queue for pause in pauses] == ["other"]


def test_all_that_is_wanted_of_a_worker_is_one_question() -> None:
    ask("w", "another")
    QueuePause.objects.all().pause("mail")
    now = clock.to_storage(clock.now())
    for id, owner in (("mine", "w.1"), ("theirs", "another.1"), ("unwanted", "w.1")):
        TaskResult.objects.create(
            id=id, task="t", queue="q", message="{}", created_at=now, claimed_by=owner,
            terminate=id != "unwanted",
        )  # fmt: skip

    clock.database_now(connection)  # asked now and then only

    with CaptureQueriesContext(connection) as asked:
        found = wanted("default", "w", ["w.1"])

    assert len(asked) == 1
    assert (found.paused, found.terminate, found.has_commands) == ({"mail"}, {"mine"}, True)


def test_of_a_worker_of_which_nothing_is_wanted_nothing_is_found() -> None:
    ask("another")

    found = wanted("default", "w", [])

    assert (found.paused, found.terminate, found.has_commands) == (frozenset(), frozenset(), False)
