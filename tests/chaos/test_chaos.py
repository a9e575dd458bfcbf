"""Each scenario on each broker that it is about; `make chaos` runs them all and shows the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connection

from tests.proxy import Proxy, through_proxy
from tests.services import OwnServer, Server
from tests.workers import Start

from . import scenarios
from .result import Result, table
from .stage import Stage

pytestmark = [pytest.mark.chaos, pytest.mark.worker, pytest.mark.timeout(3600)]


#: On which database a place is; the others' rows are where DATABASE_URL says.
DATABASES = {name: (name,) for name in ("sqlite", "postgresql", "mysql")}
MARKS = {
    "redis_server": pytest.mark.redis,
    "own_redis": pytest.mark.redis,
    "rabbitmq_server": pytest.mark.rabbitmq,
    "own_rabbitmq": pytest.mark.rabbitmq,
}
CASES = [
    pytest.param(scenario, place, id=f"{scenario.__name__}-{place}", marks=MARKS.get(place, ()))
    for scenario, places in scenarios.SCENARIOS.items()
    for place in places
    if connection.vendor in DATABASES.get(place, (connection.vendor,))
]


@pytest.fixture
def stage(
    place: str,
    request: pytest.FixtureRequest,
    start_worker: Start,
    tmp_path: Path,
    use_broker: Callable[[str], None],
) -> Iterator[Stage]:
    server: Server | None = None if place in DATABASES else request.getfixturevalue(place)
    network: Proxy | None = None
    with ExitStack() as stack:
        if isinstance(server, OwnServer):
            network = stack.enter_context(through_proxy(server.url))
            use_broker(network.url(server.url))
        elif server is not None:
            use_broker(server.url)
        yield Stage(start=start_worker, folder=tmp_path, server=server, network=network)


def check(result: Result) -> None:
    print(table([result]))
    if file := os.environ.get("CHAOS_RESULTS"):
        result.keep(Path(file))
    assert result.is_clean


@pytest.mark.parametrize(("scenario", "place"), CASES)
def test_nothing_is_lost_doubled_or_left_over(stage: Stage, scenario: Callable[[Stage], Result]) -> None:
    check(scenario(stage))
