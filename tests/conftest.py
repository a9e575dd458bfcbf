"""What every test begins with: nothing that another one left behind."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator

import pytest
from django.db import connections
from django.test import TransactionTestCase

from django_tasks import registry

OUR_LOGGERS = ("django_tasks", "django_tasks.task", "django_tasks.worker")
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_serialized_rollback"}


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> None:
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    if not _uses_database(request):
        # A body run as in a worker looks after the connections that are open, which this test may not touch.
        connections.close_all()


def _uses_database(request: pytest.FixtureRequest) -> bool:
    if request.node.get_closest_marker("django_db") or DATABASE_FIXTURES & set(request.fixturenames):
        return True
    return isinstance(request.cls, type) and issubclass(request.cls, TransactionTestCase)


@pytest.fixture
def own_tasks() -> Iterator[None]:
    """What a test registers is gone after it; what a test happens to discover is there before, so that it stays."""
    registry.autodiscover()
    state = vars(registry.tasks)
    before = {name: copy.copy(value) for name, value in state.items() if isinstance(value, dict | bool)}
    yield
    state.update(before)
