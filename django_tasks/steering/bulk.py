"""What can be done to many tasks, by name; each can be done again to the same ones without harm."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Final

from django.db import DatabaseError

from django_tasks import conf
from django_tasks.exceptions import OperationalError
from django_tasks.models import TaskResult
from django_tasks.results.handler import results

from .again import send_again
from .changing import Wish, change, change_all, moved, rescheduled
from .selection import Selection

logger = logging.getLogger("django_tasks.steering")


def retry(ids: Collection[str], seed: str) -> int:
    """As many of them as can be: one that is too large by now, say, does not keep the others from being sent."""
    try:
        return send_again(ids, seed)
    except (DatabaseError, OperationalError):
        raise  # no task's fault
    except Exception as error:
        if len(ids) == 1:
            raise
        logger.warning("Of %d tasks one cannot be sent again: %s", len(ids), error)
    return sum(map(partial(_retry_one, seed=seed), ids))


def _retry_one(id: str, seed: str) -> int:
    try:
        return send_again([id], seed)
    except (DatabaseError, OperationalError):
        raise
    except Exception as error:  # noqa: BLE001 - a project's middleware may raise anything
        logger.warning("Task %s cannot be sent again: %s", id, error)
        return 0


def cancel(ids: Collection[str], seed: str) -> int:
    """End those that have not begun."""
    return results().revoke_many(ids)


def stop(ids: Collection[str], seed: str) -> int:
    """The same, and have whoever runs the others stop them."""
    rows = TaskResult.objects.using(conf.current().DATABASE)
    open_ids = list(rows.filter(id__in=list(ids)).not_final().values_list("id", flat=True))
    results().revoke_many(open_ids, terminate=True)
    return len(open_ids)


def delete(ids: Collection[str], seed: str) -> int:
    """Those that have ended."""
    rows = TaskResult.objects.using(conf.current().DATABASE)
    ended = list(rows.filter(id__in=list(ids)).final().values_list("id", flat=True))
    results().forget_many(ended)
    return len(ended)


#: The task that does one of these to all that were chosen.
DO_TO_ALL = "django_tasks.do_to_all"
#: What it counts at most beforehand, to tell how far it is.
MOST_COUNTED = 1_000_000

#: By the names of the admin's actions.
DEEDS: Final[Mapping[str, Callable[..., int]]] = {
    "retry": retry,
    "cancel": cancel,
    "stop": stop,
    "delete": delete,
}


#: Those that change what waits: what is wished, from what was said.
WISHES: Final[Mapping[str, Callable[..., Wish]]] = {
    "run_now": lambda: rescheduled(None),
    "reschedule": lambda due: rescheduled(dt.datetime.fromisoformat(due)),
    "move": lambda queue="", priority=None: moved(queue or None, priority),
}


def do_to_all(
    name: str,
    selection: Selection,
    said: Mapping[str, Any],
    seed: str,
    on_progress: Callable[[int, int], object] = lambda seen, done: None,
) -> tuple[int, int]:
    """Do it batch by batch: to how many, of how many that were looked at. `on_progress` hears both after each."""
    seen = done = 0
    for looked_at, changed in _batches(name, selection, said, seed):
        done += changed
        seen += looked_at
        on_progress(seen, done)
    return done, seen


def _batches(
    name: str, selection: Selection, said: Mapping[str, Any], seed: str
) -> Iterator[tuple[int, int]]:
    wish = WISHES[name](**said) if name in WISHES else None
    if wish is not None and selection.is_everything:
        yield from change_all(selection, wish)
        return
    for ids in selection.batches():
        yield len(ids), change(ids, wish) if wish else DEEDS[name](ids, seed, **said)
