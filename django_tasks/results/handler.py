"""What `RESULT_STORE` names, and the rows, imported when first asked for: they need models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_tasks import conf, handlers, registry

from .store import Record, ResultStore

if TYPE_CHECKING:
    from .database import Results

STORES = {
    "database": "django_tasks.results.store.DatabaseStore",
    "cache": "django_tasks.results.cache.CacheStore",
    "disabled": "django_tasks.results.disabled.DisabledStore",
}


def store(named: str | None = None) -> ResultStore:
    """The store of that name, or the one that the settings name. Raises `ImproperlyConfigured` if there is none."""
    if named is None:
        return _made(conf.current().RESULT_STORE, "DJANGO_TASKS['RESULT_STORE']")
    return _made(named, "backend")


def store_of(task: str) -> ResultStore:
    """The store for the endings of the task of that name: its option `backend` may say which."""
    if task not in registry.tasks:
        registry.import_errors()  # the system checks tell of those
    found = registry.tasks.declared(task)
    return store(None if found is None else found.backend)


def check_name(named: str | None, where: str) -> None:
    """Raises `ImproperlyConfigured` for what can be no store. A dotted path is believed: it may need models."""
    if named is not None and "." not in named and named not in STORES:
        raise ImproperlyConfigured(
            f"{where} must be one of {', '.join(STORES)} or the dotted path of a ResultStore, "
            f"not {named!r}.{conf.guess(named, STORES)}"
        )


@cache
def _made(named: str, where: str) -> ResultStore:
    check_name(named, where)
    try:
        kind = handlers.resolve(STORES.get(named, named))
    except ImportError as error:
        raise ImproperlyConfigured(
            f"{where} names {named!r}, which cannot be imported: {error}. Correct the path."
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, ResultStore)):
        raise ImproperlyConfigured(
            f"{where} names {named!r}, which is no subclass of django_tasks.results.store.ResultStore. Name one."
        )
    return _only(kind)


@cache
def _only(kind: type[ResultStore]) -> ResultStore:
    """One of each kind, whoever names it."""
    return kind()


def problems() -> list[str]:
    """What is wrong with the stores that the settings and the tasks name, one sentence each."""
    registry.import_errors()
    settings = conf.current()
    named = {settings.RESULT_STORE: "DJANGO_TASKS['RESULT_STORE']"}
    for name in registry.tasks:
        task = registry.tasks.declared(name)
        if task is not None and task.backend is not None:
            named.setdefault(task.backend, f"The backend of {name}")
    found = [problem for name, where in named.items() if (problem := _problem(name, where))]
    if "cache" in named and settings.RESULT_CACHE not in django_settings.CACHES:
        known = ", ".join(django_settings.CACHES)
        guess = conf.guess(settings.RESULT_CACHE, django_settings.CACHES)
        found.append(
            f"DJANGO_TASKS['RESULT_CACHE'] is {settings.RESULT_CACHE!r}, which CACHES ({known}) does not have.{guess}"
        )
    return found


def _problem(named: str, where: str) -> str | None:
    try:
        _made(named, where)
    except ImproperlyConfigured as error:
        return str(error)
    return None


def put(endings: Sequence[Record], stores: Mapping[str, ResultStore]) -> None:
    """Hand endings that were just written to the rows to those of their stores, by id, that want them."""
    for keeper in dict.fromkeys(stores.values()):
        theirs = [ending for ending in endings if stores[ending.id] is keeper] if keeper.keeps_endings else []
        if theirs:
            keeper.put(theirs)


@cache
def results() -> Results:
    """What all handles ask."""
    found: Results = handlers.resolve("django_tasks.results.database.Results")()
    return found


def _forget(*, setting: str, **_: object) -> None:
    if setting == conf.NAME:
        _made.cache_clear()
        _only.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.results.handler")
