"""A task's own result store, the option `backend` (FEATURES OPT-06)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_tasks import AbortableTask, AsyncResult, Task, registry, task
from django_tasks.exceptions import ResultsDisabled
from django_tasks.execution.outcome import Request
from django_tasks.execution.settlement import settle
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult
from django_tasks.results.cache import CacheStore
from django_tasks.results.handler import results, store, store_of
from django_tasks.results.store import Record
from django_tasks.testing.conformance import failed, succeeded
from tests.ledger import tasks
from tests.ledger.stores import FileStore

OWNER = "a worker"
Settings = dict[str, Any]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TEST_STORE", str(tmp_path))
    yield tmp_path
    caches["default"].clear()


@pytest.fixture(autouse=True)
def own_tasks() -> Iterator[None]:
    """What a test registers is gone after it."""
    state = vars(registry.tasks)
    before = {name: dict(value) for name, value in state.items() if isinstance(value, dict)}
    yield
    state.update(before)


@pytest.fixture
def cached() -> Task[..., Any]:
    @task(name="tests.cached", backend="cache", aliases=["tests.cached_before"])
    def cached(value: Any) -> Any:
        return value

    return cached


def archived_as(handle: AsyncResult[Any]) -> Record | None:
    return FileStore().look_up(handle.id)


def use(**settings: object) -> override_settings:
    return override_settings(DJANGO_TASKS=settings)


def ended(sent: AsyncResult[Any], *, error: BaseException | None = None, name: str = "") -> None:
    """What a worker records of it; without its name, that of one whose process died."""
    TaskResult.objects.claim([sent.id], OWNER)
    request = Request(message=TaskMessage(id=sent.id, task=name), worker="worker@host")
    outcome = succeeded(request, 5) if error is None else failed(request, error)
    assert [stands.request.message.id for stands in settle([outcome], OWNER)] == [sent.id]


@pytest.mark.django_db
@pytest.mark.parametrize("name", [tasks.archive.name, ""], ids=["told", "from the row"])
def test_the_ending_is_in_the_store_of_the_task_alone(name: str) -> None:
    archived, plain = tasks.archive.delay(5), tasks.note.delay(5)

    ended(archived, name=name)
    ended(plain, name=tasks.note.name)

    assert (found := archived_as(archived)) is not None
    assert found.result == 5
    assert TaskResult.objects.get(id=archived.id).result is None
    assert archived_as(plain) is None
    assert TaskResult.objects.get(id=plain.id).result == "5"


@pytest.mark.django_db
def test_a_batch_of_different_tasks_goes_to_different_stores(cached: Task[..., Any]) -> None:
    handles = [tasks.archive.delay(1), cached.delay(1), tasks.note.delay(1)]
    TaskResult.objects.claim([handle.id for handle in handles], OWNER)
    names = [tasks.archive.name, cached.name, tasks.note.name]
    requests = [
        Request(message=TaskMessage(id=handle.id, task=name), worker="worker@host")
        for handle, name in zip(handles, names, strict=True)
    ]

    assert len(settle([succeeded(request, 5) for request in requests], OWNER)) == 3

    assert [handle.get() for handle in handles] == [5, 5, 5]
    together = results().look_up_many([handle.id for handle in handles])
    assert [together[handle.id].result for handle in handles] == [5, 5, 5]
    assert archived_as(handles[0]) is not None
    assert [archived_as(handle) for handle in handles[1:]] == [None, None]


@pytest.mark.django_db
def test_every_handle_finds_it() -> None:
    handle, other = tasks.archive.delay(5), tasks.archive.delay("bang")
    ended(handle, name=tasks.archive.name)
    ended(other, error=ValueError("bang"), name=tasks.archive.name)

    for found in (handle, AsyncResult[Any](handle.id), tasks.archive.AsyncResult(handle.id)):
        assert (found.state, found.get(timeout=1)) == ("SUCCESS", 5)
    with pytest.raises(ValueError, match="bang"):
        AsyncResult[Any](other.id).get(timeout=1)


@pytest.mark.django_db
def test_the_tasks_own_handle_finds_it_when_the_row_is_gone() -> None:
    handle = tasks.archive.delay(5)
    ended(handle, name=tasks.archive.name)
    TaskResult.objects.all().delete()

    assert tasks.archive.AsyncResult(handle.id).get(timeout=1) == 5
    assert AsyncResult[Any](handle.id).state == "PENDING"


@pytest.mark.django_db
def test_what_waits_and_what_is_revoked_is_told_as_of_any_task() -> None:
    handle = tasks.archive.delay(5)
    before = (handle.state, AsyncResult[Any](handle.id).state)

    assert handle.revoke()

    assert before == ("PENDING", "PENDING")
    assert AsyncResult[Any](handle.id).state == "REVOKED"
    assert (found := archived_as(handle)) is not None
    assert found.status == "REVOKED"


@pytest.mark.django_db
@pytest.mark.parametrize("by_the_task", [True, False])
def test_forgetting_reaches_the_store(by_the_task: bool) -> None:
    handle = tasks.archive.delay(5)
    ended(handle, name=tasks.archive.name)

    (handle if by_the_task else AsyncResult[Any](handle.id)).forget()

    assert archived_as(handle) is None
    assert tasks.archive.AsyncResult(handle.id).state == "PENDING"


@pytest.mark.django_db
@pytest.mark.parametrize("otherwise", ["database", "cache", "disabled", "tests.ledger.stores.FileStore"])
def test_it_goes_before_the_setting_whatever_that_is(otherwise: str, cached: Task[..., Any]) -> None:
    with use(RESULT_STORE=otherwise):
        handle = cached.delay(5)
        ended(handle, name=cached.name)

        assert (cached.AsyncResult(handle.id).get(timeout=1), AsyncResult[Any](handle.id).get(timeout=1)) == (
            5,
            5,
        )
        assert store_of(cached.name) is store_of("tests.cached_before") is store("cache")


@pytest.mark.django_db
def test_a_task_may_keep_nothing_where_others_do() -> None:
    @task(name="tests.discreet", backend="disabled")
    def discreet() -> None: ...

    handle = discreet.delay()
    ended(handle, name="tests.discreet")

    with pytest.raises(ResultsDisabled, match="the task's backend"):
        AsyncResult[Any](handle.id).get()
    assert TaskResult.objects.get(id=handle.id).result is None


def test_unknown_tasks_have_the_store_of_the_settings() -> None:
    assert store_of("nobody.knows") is store()
    assert isinstance(store("cache"), CacheStore)


def test_every_handle_that_a_task_makes_knows_its_store() -> None:
    class Long(AbortableTask[..., Any]):
        abstract = True
        backend = "cache"

    assert Long().AsyncResult("an-id").backend == "cache"


def test_asking_for_a_store_does_not_make_the_task() -> None:
    made: list[object] = []

    class Costly(Task[..., Any]):
        name = "tests.costly"
        backend = "cache"

        def __init__(self) -> None:
            made.append(self)

        def run(self) -> None: ...

    assert store_of("tests.costly") is store("cache")
    assert checks.run_checks(tags=["tasks"]) == []
    assert made == []
    assert [registry.tasks["tests.costly"]] == made


def test_a_name_that_no_store_has_is_an_error_at_the_declaration() -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"backend must be one of .* not 'cahce'. Did you mean 'cache'"
    ):
        task(backend="cahce")(test_unknown_tasks_have_the_store_of_the_settings)
    with pytest.raises(TypeError, match="backend must be a string"):
        task(backend=CacheStore())(test_unknown_tasks_have_the_store_of_the_settings)


@pytest.mark.parametrize("wrong", ["no.such.Store", "datetime.date"])
def test_a_path_that_leads_to_no_store_is_found_by_the_system_check(wrong: str) -> None:
    task(name="tests.astray", backend=wrong)(lambda: None)

    (error,) = checks.run_checks(tags=["tasks"])

    assert error.id == "django_tasks.E008"
    assert f"The backend of tests.astray names '{wrong}'" in error.msg


def test_a_cache_that_a_task_wants_must_be_there(cached: Task[..., Any]) -> None:
    with use(RESULT_CACHE="defualt"):
        (error,) = checks.run_checks(tags=["tasks"])

    assert "Did you mean 'default'?" in error.msg
