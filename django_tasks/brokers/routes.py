"""Where tasks go that say nothing themselves: the setting `TASK_ROUTES`, in the forms Celery has for it.

A mapping of names or patterns to queues, a function, or a list of these, asked in turn: the first that answers counts.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_tasks import conf
from django_tasks.exceptions import UnknownQueue
from django_tasks.handlers import resolve
from django_tasks.message.fields import HIGHEST_PRIORITY

from . import queues

WHERE = f"{conf.NAME}['TASK_ROUTES']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What an entry says of a task; `None` leaves it open."""

    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    priority: int | None = None


#: Is asked as Celery asks: `router(name, args, kwargs, options, task=task)`. `None` is no answer.
Router = Callable[..., Route | None]


def find(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], task: Any
) -> Route:
    """The first answer for this call; `task` is `None` if only its name is known here.

    Raises `ImproperlyConfigured` if the setting, or what one of its functions answers, is no route.
    """
    for router in _routers():
        if (answer := router(name, args, kwargs, options, task=task)) is not None:
            return answer
    return Route()


@cache
def _routers() -> tuple[Router, ...]:
    return tuple(_router(entry) for entry in _entries(conf.current().TASK_ROUTES))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == conf.NAME:
        _routers.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.brokers.routes")


def _entries(routes: Any) -> Sequence[Any]:
    return routes if isinstance(routes, list | tuple) else [routes]


def _router(entry: Any) -> Router:
    if isinstance(entry, Mapping):
        return ByName(entry.items())
    if _is_pair(entry):
        return ByName([entry])
    if isinstance(entry, list | tuple) and all(map(_is_pair, entry)):
        return ByName(entry)
    if callable(entry) or (isinstance(entry, str) and "." in entry.strip(".")):
        return ByFunction(entry)
    raise ImproperlyConfigured(
        f"{WHERE} has {entry!r}, which is no route. Write a mapping of names to queues, a pair of name and queue, "
        "or the dotted path of a function."
    )


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[0], str | re.Pattern)


class ByName:
    """The routes of a mapping: that of the very name, or else of the first pattern that fits it.

    A name with `*` in it is a pattern, as in the shell; a compiled expression must match from the name's beginning.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self.exact: dict[str, Route] = {}
        self.patterns: list[tuple[re.Pattern[str], Route]] = []
        for name, answer in pairs:
            route = _route(answer, of=name)
            if isinstance(name, re.Pattern):
                self.patterns.append((name, route))
            elif not isinstance(name, str):
                raise ImproperlyConfigured(
                    f"{WHERE} has the name {name!r}. Write a task's name, a pattern like 'shop.*', or re.compile(...)."
                )
            elif "*" in name:
                self.patterns.append((re.compile(fnmatch.translate(name)), route))
            else:
                self.exact[name] = route

    def __call__(self, name: str, *_: Any, **__: Any) -> Route | None:
        if name in self.exact:
            return self.exact[name]
        return next((route for pattern, route in self.patterns if pattern.match(name)), None)

    def routes(self) -> list[Route]:
        return list(dict.fromkeys([*self.exact.values(), *(route for _, route in self.patterns)]))


class ByFunction:
    """A function of the project, imported when it is first asked: its module may define tasks itself."""

    def __init__(self, function: str | Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> Route | None:
        answer = self.found()(name, args, kwargs, options, task=task)
        return None if answer is None else _route(answer, of=name)

    def found(self) -> Callable[..., Any]:
        """The function itself. Raises `ImproperlyConfigured` if there is none."""
        found = (
            resolve(self.function, setting="TASK_ROUTES") if isinstance(self.function, str) else self.function
        )
        if hasattr(found, "route_for_task"):
            return _of_celery_3(found() if isinstance(found, type) else found)
        if not callable(found):
            raise ImproperlyConfigured(
                f"{WHERE} names {self.function!r}, which cannot be called. Write a function "
                "route(name, args, kwargs, options, task=None, **kw)."
            )
        return cast("Callable[..., Any]", found)


def _of_celery_3(router: Any) -> Callable[..., Any]:
    """Routers were objects then."""
    return lambda name, args, kwargs, *_, **__: router.route_for_task(name, args, kwargs)


def _route(answer: Any, *, of: Any) -> Route:
    """A queue's name, or a mapping like options of a call, as a route."""
    said: Any = {"queue": answer} if isinstance(answer, str) else answer
    if not isinstance(said, Mapping):
        raise ImproperlyConfigured(
            f"{WHERE} answers {answer!r} for {of!r}. Name a queue, or write {{'queue': ..., 'priority': ...}}."
        )
    for key, value in said.items():
        if key not in _FIELDS:
            raise ImproperlyConfigured(
                f"{WHERE} says {key!r} for {of!r}: a route has {', '.join(_FIELDS)}. Leave it out."
            )
        if value is not None and key != "priority" and not isinstance(value, str):
            raise ImproperlyConfigured(
                f"{WHERE} has the {key} {value!r} for {of!r}. Write its name, a string."
            )
    priority = said.get("priority")
    if priority is not None and (isinstance(priority, bool) or priority not in range(HIGHEST_PRIORITY + 1)):
        raise ImproperlyConfigured(
            f"{WHERE} has the priority {priority!r} for {of!r}. Write a number from 0 to {HIGHEST_PRIORITY}."
        )
    return Route(**said)


_FIELDS = tuple(field.name for field in fields(Route))


def problems() -> list[str]:
    """What is wrong with the setting, one sentence each. Functions are imported, but not called."""
    found = []
    for entry in _entries(conf.current().TASK_ROUTES):
        try:
            router = _router(entry)
            if isinstance(router, ByFunction):
                router.found()
            elif isinstance(router, ByName):
                for route in router.routes():
                    _check(route, because=" and TASK_ROUTES sends tasks there")
        except (ImproperlyConfigured, UnknownQueue) as error:
            found.append(str(error))
    return found


def _check(route: Route, because: str) -> None:
    """Raises `UnknownQueue` for a route that leads nowhere, whatever a task adds to it."""
    if route.exchange and not (route.queue or route.routing_key):
        queues.check_exchange(route.exchange, because=because)
    else:
        queues.addressed(route.queue, route.exchange, route.routing_key, because=because)
