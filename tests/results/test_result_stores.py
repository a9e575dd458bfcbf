"""Every result store keeps what a task ended with (FEATURES BAK-01, 02, 03, 07), and what is special about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import TransactionTestCase, override_settings

from django_tasks import AsyncResult
from django_tasks.exceptions import ResultsDisabled, TimeoutError
from django_tasks.models import TaskResult
from django_tasks.results.cache import CacheStore
from django_tasks.results.handler import store
from django_tasks.results.store import DatabaseStore, Record, ResultStore
from django_tasks.testing.conformance import ResultStoreConformance

Send = Callable[..., str]
End = Callable[..., None]


class DatabaseStoreTest(ResultStoreConformance, TransactionTestCase):
    store = "database"


class CacheStoreTest(ResultStoreConformance, TransactionTestCase):
    """In memory, where all threads of this process share it, and pickled like in any other cache."""

    store = "cache"

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(caches["default"].clear)


class DictStore(ResultStore):
    """The store of a project, which alone has the results."""

    rows_keep_results = False
    kept: dict[str, Record] = {}

    def put(self, endings: Sequence[Record]) -> None:
        self.kept.update((ending.id, Record.from_dict(ending.to_dict())) for ending in endings)

    def look_up(self, id: str) -> Record | None:
        return self.kept.get(id)

    def forget(self, id: str) -> None:
        self.kept.pop(id, None)


class DictStoreTest(ResultStoreConformance, TransactionTestCase):
    store = f"{__name__}.DictStore"

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(DictStore.kept.clear)

    def test_the_rows_do_not_keep_what_a_store_has_alone(self) -> None:
        handle = self.ended("elsewhere")

        row = TaskResult.objects.get(id=handle.id)

        assert (row.status, row.result) == ("SUCCESS", None)


def use(**settings: object) -> override_settings:
    return override_settings(DJANGO_TASKS=settings)


# -- the cache


class Away:
    """A cache that is not there."""

    def __getattr__(self, name: str) -> Any:
        def fail(*args: object, **kwargs: object) -> None:
            raise ConnectionError("no cache")

        return fail


@pytest.mark.django_db(transaction=True)
def test_an_ending_is_recorded_and_read_though_the_cache_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with use(RESULT_STORE="cache"):
        monkeypatch.setattr(CacheStore, "cache", Away())
        suite = CacheStoreTest()
        handle = suite.ended("kept in the row")

        assert handle.get() == "kept in the row"
        assert "the rows answer: no cache" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_an_ending_in_the_cache_is_read_without_the_database(django_assert_num_queries: Any) -> None:
    with use(RESULT_STORE="cache"):
        handle = CacheStoreTest().ended(5)

        with django_assert_num_queries(0):
            assert (handle.get(), handle.state) == (5, "SUCCESS")


@pytest.mark.django_db(transaction=True)
def test_the_cache_is_told_how_long_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float | None] = []
    real = caches["default"]
    monkeypatch.setattr(
        type(real), "set_many", lambda self, data, timeout: told.append(timeout), raising=True
    )
    for expires in (60, None):
        with use(RESULT_STORE="cache", RESULT_EXPIRES=expires):
            CacheStoreTest().ended(5)

    assert told == [60, None]


@pytest.mark.django_db(transaction=True)
def test_the_setting_names_the_cache() -> None:
    memory = "django.core.cache.backends.locmem.LocMemCache"
    both = {alias: {"BACKEND": memory, "LOCATION": alias} for alias in ("default", "results")}
    with override_settings(CACHES=both), use(RESULT_STORE="cache", RESULT_CACHE="results"):
        CacheStoreTest().ended(5)

        assert len(caches["results"]._cache) == 1
        assert not caches["default"]._cache


# -- disabled


@pytest.mark.django_db(transaction=True)
def test_with_results_disabled_asking_is_refused_with_advice() -> None:
    with use(RESULT_STORE="disabled"):
        handle = CacheStoreTest().ended(5)

        for ask in (handle.get, handle.ready, lambda: handle.state, lambda: handle.result):
            with pytest.raises(ResultsDisabled, match="set DJANGO_TASKS\\['RESULT_STORE'\\]"):
                ask()


@pytest.mark.django_db(transaction=True)
def test_with_results_disabled_a_task_is_tracked_and_what_it_returns_is_not_kept() -> None:
    with use(RESULT_STORE="disabled"):
        handle = CacheStoreTest().ended("not kept")

    row = TaskResult.objects.get(id=handle.id)
    assert (row.status, row.result) == ("SUCCESS", None)


@pytest.mark.django_db(transaction=True)
def test_with_results_disabled_a_waiting_task_can_be_revoked() -> None:
    with use(RESULT_STORE="disabled"):
        handle = AsyncResult[Any](CacheStoreTest().sent().id)

        assert handle.revoke()


# -- choosing


def test_the_store_is_made_once_and_anew_when_the_setting_changes() -> None:
    first = store()

    with use(RESULT_STORE="cache"):
        other = store()

    assert isinstance(first, DatabaseStore)
    assert isinstance(other, CacheStore)
    assert store() is store()


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("databse", "must be one of database, cache, disabled .* Did you mean 'database'"),
        ("no.such.module.Store", "cannot be imported"),
        ("datetime.date", "no subclass of django_tasks.results.store.ResultStore"),
        ("os.path.join", "no subclass"),
    ],
)
def test_a_store_that_is_none_is_refused_with_advice(named: str, complaint: str) -> None:
    with use(RESULT_STORE=named), pytest.raises(ImproperlyConfigured, match=complaint):
        store()


@pytest.mark.django_db(transaction=True)
def test_a_timeout_is_told_with_any_store() -> None:
    for name in ("database", "cache"):
        with use(RESULT_STORE=name), pytest.raises(TimeoutError):
            AsyncResult[Any]("nobody's").get(timeout=0)
