"""What every test begins with: nothing that another one left behind."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator

import hypothesis
import pytest
from django.db import connections
from django.test import TransactionTestCase

from django_tasks import clock, registry
from django_tasks.brokers import places
from django_tasks.definition.worker_log import WorkerLog, set_worker_log

# Tests start hundreds of processes, and each would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

pytest_plugins = ["tests.services", "tests.workers"]

OUR_LOGGERS = ("django_tasks", "django_tasks.task", "django_tasks.worker")
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_serialized_rollback"}


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_quickly() -> Iterator[None]:
    from tests.emptying import empty_tables  # it needs the models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", staticmethod(empty_tables))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _uses_database(item):
            item.add_marker("database")


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> None:
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    set_worker_log(WorkerLog())  # as `runworker` called in this process leaves one
    if not _uses_database(request.node):
        # A body run as in a worker looks after the connections that are open, which this test may not touch.
        connections.close_all()


def _uses_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
        return True
    kind = getattr(item, "cls", None)
    return isinstance(kind, type) and issubclass(kind, TransactionTestCase)


@pytest.fixture
def steady_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement is made because of the time that passed, so that they can be counted on a busy machine."""
    monkeypatch.setattr(clock, "_TRUSTED_FOR", 1e9)  # not for ever: it has to be asked once
    monkeypatch.setattr(places, "SLOW", float("inf"))


@pytest.fixture
def own_tasks() -> Iterator[None]:
    """What a test registers is gone after it; what a test happens to discover is there before, so that it stays."""
    registry.autodiscover()
    state = vars(registry.tasks)
    before = {name: copy.copy(value) for name, value in state.items() if isinstance(value, dict | bool)}
    yield
    state.update(before)
