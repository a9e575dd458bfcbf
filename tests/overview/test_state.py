"""How all of it is now, in few questions, whatever there is."""

from __future__ import annotations

import datetime as dt
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test import override_settings

from django_tasks import states
from django_tasks.brokers.handler import broker
from django_tasks.dispatch import sizes
from django_tasks.exceptions import OperationalError
from django_tasks.models import QueuePause
from django_tasks.models.counting import Count
from django_tasks.overview import state as overview_state
from django_tasks.overview.course import course
from django_tasks.overview.document import document
from django_tasks.overview.exposition import metrics
from django_tasks.overview.notices import Level, Limits
from django_tasks.overview.state import State, state_now

from .conftest import Make, ago

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries, Settings

A_SCAN = re.compile(r"SCAN django_tasks_(taskresult|queuedmessage)\b(?! USING (COVERING )?INDEX)")

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("steady_statements")]


def codes(state: State) -> set[str]:
    return {notice.code for notice in state.notices}


@pytest.fixture
def two_queues(settings: Settings) -> None:
    settings.DJANGO_TASKS = {"TASK_QUEUES": ["default", "mail"]}


def test_a_site_with_a_worker_and_nothing_to_do_is_fine(make_worker: Make) -> None:
    make_worker()

    state = state_now()

    assert (state.level, state.notices) == (Level.FINE, [])
    assert state.counts.queued == Count()
    assert (state.online, state.lost) == (1, 0)


def test_what_waits_runs_and_is_due_later_is_counted(
    make_worker: Make, make_task: Make, make_message: Make
) -> None:
    # Given
    worker = make_worker()
    make_message()
    make_message(priority=9)
    make_message(state="parked", deliver_at=ago(-60))
    make_message(state="parked", deliver_at=ago(-60))
    make_message(state="aside", reason="no")
    make_task(status=states.RETRY)
    make_task(claimed_by=f"{worker.id}.1", status=states.STARTED, started_at=ago(1))

    # When
    state = state_now()

    # Then
    counts = state.counts
    assert (counts.queued, counts.running, counts.aside) == (2, 1, 1)
    # One of both that are parked is that of the retry.
    assert (counts.scheduled, counts.retrying) == (1, 1)
    assert [worker.busy for worker in state.workers] == [1]
    assert [(queue.queue, queue.running, queue.slots) for queue in state.queues] == [("default", 1, 8)]


def test_nothing_is_counted_further_than_anybody_wants_to_know(
    make_message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_state, "MOST", 2)
    for _number in range(5):
        make_message()

    assert str(state_now().counts.queued) == "2+"


def test_the_oldest_is_found_whatever_its_priority(two_queues: None, make_message: Make) -> None:
    # Given
    make_message(priority=0, sent_at=ago(10))
    oldest = make_message(priority=7, sent_at=ago(1000))
    make_message(priority=9, sent_at=ago(500))
    make_message(queue="mail", sent_at=ago(20))

    # When
    state = state_now()

    # Then
    assert state.slowest is not None
    assert state.slowest.queue == "default"
    age = state.slowest.age(state.now)
    assert age is not None
    # The clocks of the database and of this machine may differ by a little.
    assert age > dt.timedelta(seconds=990)
    assert oldest.queue == "default"


@pytest.mark.parametrize("number", [1, 30])
def test_the_number_of_questions_does_not_depend_on_what_there_is(
    number: int,
    make_worker: Make,
    make_task: Make,
    make_message: Make,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for index in range(number):
        make_worker(name=f"worker-{index}@web")
        make_message()
        make_task(claimed_by=f"{index}.1")

    state_now()  # which asks the database for its time

    with django_assert_num_queries(5):
        state_now()


def test_that_no_worker_runs_is_critical_only_if_something_waits(make_message: Make, db: None) -> None:
    idle = state_now()
    make_message()
    stuck = state_now()

    assert (idle.level, stuck.level) == (Level.WARNING, Level.CRITICAL)
    assert codes(idle) == codes(stuck) == {"no_workers"}


def test_a_queue_that_nobody_serves_is_critical_as_soon_as_something_waits(
    two_queues: None, make_worker: Make, make_message: Make
) -> None:
    # Given
    make_worker()
    empty = state_now()

    # When
    make_message(queue="mail")
    stuck = state_now()

    # Then
    assert [(notice.code, notice.queue) for notice in stuck.notices] == [("queue_unserved", "mail")]
    assert (empty.level, stuck.level) == (Level.WARNING, Level.CRITICAL)


def test_a_pause_is_told_of_when_it_lasts_and_nothing_else_about_that_queue(
    make_worker: Make, make_message: Make
) -> None:
    make_worker()
    make_message(sent_at=ago(100_000))
    QueuePause.objects.create(queue="default", reason="the mail server moves", paused_at=ago(7200))

    soon, later = state_now(), state_now(Limits(paused=dt.timedelta(hours=1)))

    assert soon.notices == []
    assert codes(later) == {"queue_paused"}
    assert "the mail server moves" in later.notices[0].text


def test_what_has_waited_too_long_is_told_of(make_worker: Make, make_message: Make) -> None:
    make_worker()
    make_message(sent_at=ago(600))

    assert codes(state_now()) == {"queue_slow"}
    assert codes(state_now(Limits(waiting=dt.timedelta(hours=1)))) == set()


def test_workers_in_trouble_and_those_just_lost_are_told_of(make_worker: Make) -> None:
    make_worker(trouble="Its broker cannot be reached.")
    make_worker(name="gone@web-2", lease_until=ago(60), lost_at=ago(30))
    make_worker(name="long gone@web-3", lease_until=ago(80_000), lost_at=ago(80_000))
    make_worker(name="forgotten@web-4", lease_until=ago(200_000), lost_at=ago(200_000))

    state = state_now()

    assert {(notice.code, notice.worker) for notice in state.notices} == {
        ("worker_trouble", "worker@web-1"),
        ("worker_lost", "gone@web-2"),
    }
    assert (state.online, state.lost) == (1, 2)


def test_what_could_not_be_obeyed_is_told_of(make_worker: Make, make_message: Make) -> None:
    make_worker()
    make_message(state="aside", reason="no")

    assert codes(state_now()) == {"set_aside"}


@pytest.mark.parametrize(("expires", "told"), [(None, {"retention_off"}), (3600, set())])
def test_results_kept_for_ever_are_told_of_when_there_are_old_ones(
    expires: Any, told: set[str], make_worker: Make, make_end: Make
) -> None:
    make_worker()
    make_end(86400 * 100)

    with override_settings(DJANGO_TASKS={"RESULT_EXPIRES": expires}):
        assert codes(state_now()) == told


def test_a_broker_that_is_away_is_critical_and_what_is_known_is_told_all_the_same(
    settings: Settings, make_worker: Make, make_task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    settings.DJANGO_TASKS = {"BROKER_URL": "redis://127.0.0.1:1/0"}
    make_worker()
    make_task(awaited_at=ago(-30))

    def away(self: Any, queue: str) -> int:
        raise OperationalError("Connection refused")

    monkeypatch.setattr(type(broker()), "size", away)

    # When
    state = state_now()

    # Then
    assert (state.level, codes(state)) == (Level.CRITICAL, {"broker_unreachable"})
    assert state.counts.queued == 1


def test_a_broker_that_says_nothing_keeps_nobody(
    settings: Settings, make_worker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    settings.DJANGO_TASKS = {"BROKER_URL": "redis://127.0.0.1:1/0"}
    make_worker()
    silence = threading.Event()
    monkeypatch.setattr(type(broker()), "size", lambda self, queue: silence.wait() and 3)
    monkeypatch.setattr(sizes, "of_broker", sizes.Sizes())

    # When
    state = state_now(patience=0.0)
    silence.set()

    # Then
    assert codes(state) == {"broker_unreachable"}
    assert [queue.ready for queue in state.queues] == [None]
    values = {metric.name: [sample.value for sample in metric.samples] for metric in metrics(state)}
    assert values["django_tasks_broker_up"] == [0]
    assert values["django_tasks_queue_waiting"] == []


def test_a_pause_that_is_over_is_none(make_worker: Make) -> None:
    make_worker()
    QueuePause.objects.create(queue="default", paused_at=ago(100_000), until=ago(1))

    assert state_now().notices == []
    assert not state_now().queues[0].is_paused


def test_a_worker_that_takes_nothing_more_is_draining_whoever_tells(make_worker: Make) -> None:
    make_worker(ending_at=ago(5), busy=3)

    (worker,) = document(state_now(), course())["workers"]

    assert (worker["state"], worker["alive"], worker["running"]) == ("draining", True, 3)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other planners may rightly scan a small table")
def test_no_question_reads_a_table_through(make_worker: Make, make_task: Make, make_message: Make) -> None:
    # Given
    asked = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    make_worker()
    make_message()
    state_now()

    # When
    with override_settings(DJANGO_TASKS={"RESULT_EXPIRES": None}), connection.execute_wrapper(note):
        state_now()

    # Then
    assert len(asked) == 6
    for sql, params in asked:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = "\n".join(line[-1] for line in cursor.fetchall())
        assert not A_SCAN.search(plan), plan
