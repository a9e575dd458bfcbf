"""Nothing is shared over a fork: two processes on one connection would mix their answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from django_tasks.brokers.handler import broker
from django_tasks.models import TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import frozen, hold, note
from tests.services import BOTH, Server
from tests.sockets import opened, sockets
from tests.workers import PATIENCE, Start, all_final, eventually, program

pytestmark = pytest.mark.worker


@pytest.fixture(params=["embedded", *BOTH])
def used_broker(request: pytest.FixtureRequest, use_broker: Callable[[str], None]) -> None:
    """The embedded one, and then the others."""
    if request.param != "embedded":
        server: Server = request.getfixturevalue(f"{request.param}_server")
        use_broker(server.url)


def test_each_process_of_a_worker_has_connections_of_its_own(
    used_broker: None, start_worker: Start, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    hold.bulk([(str(gate),)] * 2)
    worker = start_worker("--processes=2", DJANGO_SETTINGS_MODULE="tests.worker.open_handed_settings")
    eventually(lambda: Entry.objects.count() == 2, "both processes use the database")

    family = [worker.process.pid, *worker.children()]
    have = {pid: sockets(pid) for pid in family}
    assert all(not have[one] & have[other] for one, other in itertools.combinations(family, 2)), have
    database = str(connection.settings_dict["NAME"])
    assert not have[worker.process.pid]
    assert not any(name.startswith(database) for name in opened(worker.process.pid))
    gate.touch()

    eventually(all_final, "an end for all of them, and for what was sent before the fork")
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS"}
    assert TaskResult.objects.count() == 3


def test_a_web_process_that_forks_and_its_children_send_over_connections_of_their_own(
    used_broker: None, transactional_db: None, tmp_path: Path
) -> None:
    arguments = ("-X", "dev", "-W", "error", "-m", "tests.worker.forking_producer")
    with program(*arguments, log=tmp_path / "producer.log") as process:
        assert process.wait(PATIENCE) == 0

    assert set(TaskResult.objects.values_list("args", flat=True)) == {f"({n},)" for n in range(1, 5)}
    assert broker().size(note.queue or "default") == 4


def test_no_process_looks_for_garbage_in_what_was_loaded_before_the_fork(start_worker: Start) -> None:
    counted = frozen.delay()

    start_worker("--processes=1")

    assert counted.get(timeout=40) > 10_000
