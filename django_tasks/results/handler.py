"""What `RESULT_STORE` names, and the rows, imported when first asked for: they need models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_tasks import conf, handlers

from .store import Record, ResultStore

if TYPE_CHECKING:
    from .database import Results

STORES = {
    "database": "django_tasks.results.store.DatabaseStore",
    "cache": "django_tasks.results.cache.CacheStore",
    "disabled": "django_tasks.results.disabled.DisabledStore",
}


@cache
def store() -> ResultStore:
    """The store that the settings name. Raises `ImproperlyConfigured` if they name none."""
    named = conf.current().RESULT_STORE
    if "." not in named and named not in STORES:
        raise ImproperlyConfigured(
            f"DJANGO_TASKS['RESULT_STORE'] must be one of {', '.join(STORES)} or the dotted path of a ResultStore, "
            f"not {named!r}.{conf.guess(named, STORES)}"
        )
    kind = handlers.resolve(STORES.get(named, named), setting="RESULT_STORE")
    if not (isinstance(kind, type) and issubclass(kind, ResultStore)):
        raise ImproperlyConfigured(
            f"DJANGO_TASKS['RESULT_STORE'] names {named!r}, which is no subclass of "
            "django_tasks.results.store.ResultStore. Name one."
        )
    return kind()


def problems() -> list[str]:
    """What is wrong with the settings of the store, one sentence each."""
    settings = conf.current()
    try:
        store()
    except ImproperlyConfigured as error:
        return [str(error)]
    if settings.RESULT_STORE == "cache" and settings.RESULT_CACHE not in django_settings.CACHES:
        known = ", ".join(django_settings.CACHES)
        guess = conf.guess(settings.RESULT_CACHE, django_settings.CACHES)
        return [
            f"DJANGO_TASKS['RESULT_CACHE'] is {settings.RESULT_CACHE!r}, which CACHES ({known}) does not have.{guess}"
        ]
    return []


def put(endings: Sequence[Record]) -> None:
    """Hand endings that were just written to the rows to the store, if it wants them."""
    if store().keeps_endings and endings:
        store().put(endings)


@cache
def results() -> Results:
    """What all handles ask."""
    found: Results = handlers.resolve("django_tasks.results.database.Results")()
    return found


def _forget(*, setting: str, **_: object) -> None:
    if setting == conf.NAME:
        store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.results.handler")
