"""What tells of a worker to monitors, for tests that need no whole worker."""

from __future__ import annotations

import uuid

import pytest

from django_tasks.brokers import connecting
from django_tasks.worker.events.sender import EventSender
from django_tasks.worker.events.shared import Shared
from tests.services import Server


@pytest.fixture
def url(shared_server: Server) -> str:
    return shared_server.url


@pytest.fixture
def name() -> str:
    return f"worker-{uuid.uuid4().hex[:12]}@host"


@pytest.fixture
def shared() -> Shared:
    return Shared(places=2)


@pytest.fixture
def sender(url: str, name: str, shared: Shared) -> EventSender:
    return EventSender(
        connect=lambda: connecting.connection(url, {}), hostname=name, pid=shared.pid, clock=shared.clock(0)
    )
