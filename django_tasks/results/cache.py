"""Endings in one of Django's caches, so that callers who ask for results leave the database alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from django.core.cache import BaseCache, caches
from django.db import transaction

from django_tasks import conf

from . import retention
from .store import Record, ResultStore

logger = logging.getLogger("django_tasks.results")


class CacheStore(ResultStore):
    """`RESULT_STORE = "cache"`: any backend of `CACHES`; the setting `RESULT_CACHE` names it.

    A cache may lose what it holds and be away: the rows keep everything as well, and answer then.
    """

    @property
    def cache(self) -> BaseCache:
        return caches[conf.current().RESULT_CACHE]

    def put(self, endings: Sequence[Record]) -> None:
        # Not before the rows are committed: a cache cannot take anything back. Robust: without it the rows answer.
        kept = {_key(ending.id): ending.to_dict() for ending in endings}

        def write() -> None:
            self.cache.set_many(kept, timeout=retention.seconds())

        transaction.on_commit(write, using=conf.current().DATABASE, robust=True)

    def look_up(self, id: str) -> Record | None:
        return self.look_up_many([id]).get(id)

    def look_up_many(self, ids: Sequence[str]) -> dict[str, Record]:
        keys = {_key(id): id for id in ids}
        try:
            kept = self.cache.get_many(list(keys)) if keys else {}
        except Exception as error:  # noqa: BLE001 - each backend has its own
            logger.warning("The cache cannot be asked for results; the rows answer: %s", error)
            return {}
        return {keys[key]: Record.from_dict(ending) for key, ending in kept.items()}

    def forget(self, id: str) -> None:
        self.cache.delete(_key(id))

    def forget_many(self, ids: Sequence[str]) -> None:
        self.cache.delete_many([_key(id) for id in ids])


def _key(id: str) -> str:
    """Ids may be long and hold anything, keys of Memcached may not."""
    return f"django_tasks.result.{hashlib.sha256(id.encode(errors='surrogatepass')).hexdigest()}"
