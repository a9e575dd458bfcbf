"""One task for many items: xmap, xstarmap, and chunks, which cuts the items into several of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, ClassVar

from django_tasks.exceptions import NotRegistered

from .group import group
from .signature import Signature, taken

#: The tasks that do the work; the signature they are called with is in `kwargs["task"]`, the items in `["it"]`.
MAP, STARMAP, CHUNKS = "celery.map", "celery.starmap", "celery.chunks"


class OfMany(Signature):
    """What the three have in common: a task, or its signature or name, and the items. They take no other arguments."""

    TASK: ClassVar[str]
    SHOWN: ClassVar[str]

    def __init__(self, task: Any, it: Iterable[Any], app: object = None, **options: Any) -> None:
        super().__init__(
            self.TASK, (), {"task": _mapped(task), "it": list(it)}, immutable=True, options=options
        )

    @property
    def mapped(self) -> Signature:
        """The task that is called with the items."""
        return taken(self.kwargs["task"])

    def follow_mapped(self) -> None:
        """Have it sent to the queue of that task, as Celery routes it by that task's name, unless it has its own."""
        if "task" not in self.kwargs:  # a stranger wrote it; the worker will say what is wrong
            return
        with suppress(NotRegistered):
            if queue := self.mapped.type.queue:
                self.options.setdefault("queue", queue)

    def parts(self) -> list[Signature]:
        return []

    def change_parts(self, change: Callable[[Any], Signature]) -> None:
        if "task" in self.kwargs:
            self.kwargs["task"] = change(self.kwargs["task"])

    def __repr__(self) -> str:
        shown = repr(self.kwargs["it"])
        return self.SHOWN.format(self.mapped.task, shown if len(shown) <= 100 else shown[:97] + "...")


class xmap(OfMany):  # noqa: N801 - Celery's name
    """One task that calls another for each item, one after the other: `add.map([...])`."""

    TASK = MAP
    SHOWN = "[{}(x) for x in {}]"


class xstarmap(OfMany):  # noqa: N801 - Celery's name
    """The same, where each item is a list of arguments: `add.starmap([(2, 2), (4, 4)])`."""

    TASK = STARMAP
    SHOWN = "[{}(*x) for x in {}]"


class chunks(OfMany):  # noqa: N801 - Celery's name
    """A group of `xstarmap`s with up to `n` items each: `add.chunks(zip(xs, ys), 100)`."""

    TASK = CHUNKS
    SHOWN = "chunks({}(*x) for x in {})"

    def __init__(self, task: Any, it: Iterable[Any], n: int, app: object = None, **options: Any) -> None:
        if n < 1:
            raise ValueError(f"A chunk must have 1 or more items, not {n}. Give a larger n.")
        super().__init__(task, it, **options)
        self.kwargs["n"] = n

    def __call__(self, **options: Any) -> Any:
        """`apply_async(**options)`."""
        return self.apply_async(**options)

    def group(self) -> group:
        """The group that it stands for."""
        items = iter(self.kwargs["it"])
        some = iter(lambda: list(islice(items, self.kwargs["n"])), [])
        return group(xstarmap(self.mapped.clone(), part) for part in some)

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: object = None) -> Any:
        """`chunks(task, it, n)()`."""
        return cls(task, it, n)()


def _mapped(task: Any) -> Signature:
    return taken(task) if isinstance(task, dict) else Signature(task)


for kind in (xmap, xstarmap, chunks):
    Signature.TYPES[kind.__name__] = Signature.TASKS[kind.TASK] = kind
