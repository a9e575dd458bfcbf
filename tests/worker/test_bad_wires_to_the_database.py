"""Between workers and their database the network fails: it takes longer, and each task still runs once."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection

from django_tasks import clock
from django_tasks.models import TaskResult, Worker
from tests.ledger.tasks import nothing
from tests.proxy import Proxy, through_proxy
from tests.threads import flow
from tests.workers import RunningWorker, Start, all_final, eventually, runs_when_sent

pytestmark = [
    pytest.mark.worker,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        connection.vendor == "sqlite", reason="SQLite is reached over no wire; set DATABASE_URL"
    ),
]

#: What docs/howto/production.md says to set, with shorter times. Without it a wait may last for a quarter of an hour.
OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 5,
        "tcp_user_timeout": 2000,
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "options": "-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2 "
        "-c tcp_user_timeout=2000",
    },
    "mysql": {
        "connect_timeout": 5,
        "read_timeout": 3,
        "write_timeout": 3,
        "init_command": "SET SESSION idle_transaction_timeout = 2",
    },
}


@pytest.fixture
def network(transactional_db: None) -> Iterator[Proxy]:
    """Between the database and workers; the test has a wire of its own."""
    with through_proxy(os.environ["DATABASE_URL"]) as proxy:
        yield proxy


@pytest.fixture
def worker(network: Proxy, start_worker: Start) -> RunningWorker:
    """At work, with two processes, and with a lease that is soon over."""
    url = f"{network.url(os.environ['DATABASE_URL'])}?{urlencode(OPTIONS[connection.vendor])}"
    started = start_worker("--processes=2", "--loglevel=info", DATABASE_URL=url, TEST_WORKER_LEASE="2")
    runs_when_sent(nothing)
    return started


def assert_each_ran_once_and_it_lives_on(worker: RunningWorker, family: list[int]) -> None:
    eventually(all_final, "an ending for every task")
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS"}
    ran = Counter(re.findall(r"nothing\[(.+)\] succeeded", worker.output))
    assert ran == Counter(TaskResult.objects.values_list("id", flat=True))
    assert not TaskResult.objects.owners()
    assert worker.children() == family


def test_connections_that_are_reset_again_and_again_are_made_anew(
    network: Proxy, worker: RunningWorker
) -> None:
    family = worker.family()

    with flow(nothing.delay):
        for _ in range(10):
            network.reset_all()
            runs_when_sent(nothing)

    assert_each_ran_once_and_it_lives_on(worker, family)


def test_a_network_that_stands_still_until_the_lease_is_over_is_waited_for(
    network: Proxy, worker: RunningWorker
) -> None:
    family = worker.family()

    with flow(nothing.delay):
        network.hold()
        eventually(lambda: Worker.objects.lapsed(clock.to_storage(clock.now())).exists(), "it is over")
        network.release()
        runs_when_sent(nothing)

    assert_each_ran_once_and_it_lives_on(worker, family)


def test_connections_that_both_sides_believe_in_although_they_are_cut_are_given_up(
    network: Proxy, worker: RunningWorker
) -> None:
    family = worker.family()

    with flow(nothing.delay):
        network.vanish()
        runs_when_sent(nothing)

    assert_each_ran_once_and_it_lives_on(worker, family)
