"""A wire that cuts what is said into small pieces, stands still, or has lost one side: it takes longer, that is all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.models import Entry
from tests.ledger.tasks import note, note_untracked
from tests.proxy import Proxy, Segment, any_piece, one_byte, through_proxy
from tests.services import Server
from tests.threads import Errand
from tests.workers import RunningWorker, Start, all_final, eventually

pytestmark = [
    pytest.mark.worker,
    pytest.mark.timeout(300),
    # py-amqp forgets to close the socket of a connection that breaks before it stands.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

MANY = 10
IN_PIECES = pytest.mark.parametrize("segment", [one_byte, any_piece])


@pytest.fixture
def network(shared_server: Server, use_broker: Callable[[str], None]) -> Iterator[Proxy]:
    """Between the broker and everybody who uses it."""
    with through_proxy(shared_server.url) as proxy:
        use_broker(proxy.url(shared_server.url))
        yield proxy


@pytest.fixture
def database_network(transactional_db: None) -> Iterator[Proxy]:
    """Between the database and everybody who uses it."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is reached over no wire; set DATABASE_URL")
    url = os.environ["DATABASE_URL"]
    with through_proxy(url) as proxy, pytest.MonkeyPatch.context() as patch:
        connection.close()
        patch.setitem(connection.settings_dict, "PORT", str(proxy.url_port))
        patch.setenv("DATABASE_URL", proxy.url(url))
        yield proxy
        connection.close()


def send_and_wait() -> None:
    """Each of these runs once."""
    sent = {result.id for _ in range(MANY) for result in (note.delay(), note_untracked.delay())}
    eventually(lambda: sent <= set(Entry.objects.values_list("task_id", flat=True)), "all have run")
    eventually(all_final, "an ending for every tracked task")
    eventually(lambda: not QueuedMessage.objects.exists(), "nothing is left")


def assert_each_ran_once_and_it_lives_on(worker: RunningWorker, family: list[int]) -> None:
    assert set(Counter(Entry.objects.values_list("task_id", flat=True)).values()) == {1}
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS"}
    assert worker.children() == family
    assert "Traceback" not in worker.output


@IN_PIECES
def test_what_is_said_to_a_broker_and_by_it_arrives_in_pieces(
    network: Proxy, start_worker: Start, segment: Segment
) -> None:
    network.segment = segment
    worker = start_worker("--processes=2")
    family = worker.family()

    send_and_wait()

    assert_each_ran_once_and_it_lives_on(worker, family)


@IN_PIECES
def test_what_is_said_to_the_database_and_by_it_arrives_in_pieces(
    database_network: Proxy, start_worker: Start, segment: Segment
) -> None:
    worker = start_worker("--processes=2")
    family = worker.family()
    send_and_wait()
    database_network.segment = segment

    send_and_wait()

    assert_each_ran_once_and_it_lives_on(worker, family)


def test_a_broker_that_stands_still_for_a_moment_is_waited_for(network: Proxy, start_worker: Start) -> None:
    worker = start_worker("--processes=2")
    family = worker.family()
    send_and_wait()

    for _ in range(3):
        network.hold()
        sending = Errand(send_and_wait)
        eventually(lambda: network.is_held_up, "somebody waits for an answer")
        network.release()
        sending.result()

    assert_each_ran_once_and_it_lives_on(worker, family)


@pytest.mark.parametrize("servers", [True, False])
def test_of_a_side_that_has_gone_without_a_word_the_other_one_notices(
    network: Proxy, start_worker: Start, servers: bool
) -> None:
    """Heartbeats (RabbitMQ) or an answer that does not come (Redis) tell of it, after seconds."""
    worker = start_worker("--processes=2")
    family = worker.family()
    send_and_wait()

    for _ in range(MANY):
        note.delay()
    network.lose(servers=servers)
    for _ in range(2):
        note.delay()

    eventually(all_final, "an ending for every task")
    eventually(lambda: not QueuedMessage.objects.exists(), "an empty outbox")
    assert_each_ran_once_and_it_lives_on(worker, family)
